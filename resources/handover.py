"""How assets hand their values on: as JSON files, never pickled."""

from typing import Any

import dagster as dg
from pydantic import TypeAdapter
from upath import UPath


class JsonHandover(dg.UPathIOManager):
    """Stores a frozen dataclass (or a tuple of them) as JSON; the consumer's type reads it."""

    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj``; a killed run leaves the old file or the new one, never half of it."""
        begun = path.with_name(path.name + ".begun")
        begun.write_bytes(TypeAdapter(type(obj)).dump_json(obj))
        begun.rename(path)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read a value of the type that the consuming asset declares."""
        return TypeAdapter(context.dagster_type.typing_type).validate_json(path.read_bytes())


class Handover(dg.ConfigurableIOManagerFactory[JsonHandover]):
    """``path``: a folder, or a URL that fsspec knows, for the values between assets."""

    path: str = ".neve/handover"

    def create_io_manager(self, context: dg.InitResourceContext) -> JsonHandover:
        """The I/O manager at ``path``."""
        return JsonHandover(UPath(self.path))
