"""The cube that a command names, opened with the command line's settings."""

from typing import Any

import icechunk as ic
import typer
import xarray as xr

from neve.cube.places import open_repository, s3_options
from neve.opened import open as open_tree


def repository(ctx: typer.Context, store: str) -> ic.Repository:
    """The repository of a cube."""
    return open_repository(store, _options(ctx))


def tree(ctx: typer.Context, store: str, at: str) -> xr.DataTree:
    """A cube at a branch, tag or snapshot."""
    return open_tree(store, at, _options(ctx))


def _options(ctx: typer.Context) -> dict[str, Any]:
    return s3_options(ctx.find_root().params["s3_endpoint"])
