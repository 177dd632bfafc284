"""How assets hand their values on: as JSON files, never pickled."""

from typing import Any
from uuid import uuid4

import dagster as dg
import obstore.fsspec
from pydantic import TypeAdapter
from upath import UPath


class JsonHandover(dg.UPathIOManager):
    """Stores a frozen dataclass (or a tuple of them) as JSON; the consumer's type reads it."""

    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj``; a killed run leaves the old file or the new one, never half of it."""
        begun = path.with_name(f"{path.name}.{uuid4().hex}.begun")
        begun.write_bytes(TypeAdapter(type(obj)).dump_json(obj))
        begun.rename(path)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read a value of the type that the consuming asset declares."""
        return TypeAdapter(context.dagster_type.typing_type).validate_json(path.read_bytes())


class Handover(dg.ConfigurableIOManagerFactory[JsonHandover]):
    """``path``: where the values between assets go: a folder, or ``s3://bucket/prefix``,
    ``gs://bucket/prefix``, ``az://account/container/prefix``.

    ``s3_endpoint``: URL of an S3 API other than AWS's; credentials come from the environment.
    """

    path: str = ".neve/handover"
    s3_endpoint: str | None = None

    def create_io_manager(self, context: dg.InitResourceContext) -> JsonHandover:
        """The I/O manager at ``path``."""
        scheme, _, rest = self.path.partition("://")
        if scheme not in ("s3", "gs", "az"):
            return JsonHandover(UPath(self.path))
        obstore.fsspec.register(scheme)
        config: dict[str, str] = {}
        if scheme == "s3" and self.s3_endpoint:
            config = {"aws_endpoint": self.s3_endpoint}
        if scheme == "az":  # as of cubes; the library's own form has no account
            account, _, rest = rest.partition("/")
            config = {"azure_storage_account_name": account}
        place = UPath(f"{scheme}://{rest}", config=config, client_options={"allow_http": True})
        return JsonHandover(place)
