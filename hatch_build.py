"""A step of `hatch build`: the published files of the page's npm packages go into the wheel.

An editable install needs none of it: there the server finds them in `node_modules`.
"""

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Vendored(BuildHookInterface):
    """Adds what `neve/page/vendored.json` lists, licences included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before it builds; fails where `npm ci` has not run."""
        if version == "editable":
            return
        root = Path(self.root)
        listed = json.loads((root / "neve/page/vendored.json").read_text("utf-8"))
        for file in (f"{package}/{path}" for package, paths in listed.items() for path in paths):
            source = root / "node_modules" / file
            if not source.exists():
                raise FileNotFoundError(f"{source}: run npm ci before building the wheel")
            build_data["force_include"][str(source)] = f"neve/page/vendor/{file}"
