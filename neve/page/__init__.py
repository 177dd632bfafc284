"""The map page: static files that the server hands out, and where they are.

Belongs here: `static` (HTML, CSS, ES modules; no build step) and where the published files of its
npm packages are. Does not belong here: routes and answers (``neve.serving``).

In `static` one module is one part of the page: ``state`` (what is shown = the address), ``data``
(the server's words), ``map``, ``tiles``, ``land``, ``colormaps`` (what is drawn), ``legend``,
``search``, ``scrubbers``, ``live``, ``passport`` and ``plot``, ``compare``, ``xray``,
``timelapse``, ``gpu``, ``keys`` (what one sees and touches), ``app`` (which part hears of which
change).
"""

import base64
import hashlib
import json
import re
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE / "static"
PROJECT = HERE.parents[1]


def vendored() -> tuple[str, ...]:
    """Files of npm packages that the page needs, as `package/path`; the licences are among them.

    A path that ends with / is a folder.
    """
    listed = json.loads((HERE / "vendored.json").read_text("utf-8"))
    return tuple(f"{package}/{path}" for package, paths in listed.items() for path in paths)


def vendor() -> Path:
    """The folder with those files: in an installed wheel beside the page, else `node_modules`."""
    installed = HERE / "vendor"
    return installed if installed.is_dir() else PROJECT / "node_modules"


def inline_hashes() -> tuple[str, ...]:
    """Sources for a Content-Security-Policy: the scripts that stand in the page itself.

    That is its import map, which no browser reads from a file of its own.
    """
    scripts = re.findall(
        r"<script[^>]*>([^<]+)</script>", (STATIC / "index.html").read_text("utf-8")
    )
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    return tuple(f"'sha256-{digest}'" for digest in digests)
