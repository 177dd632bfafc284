"""Adding levels to a dataset that neve did not make."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import icechunk as ic
import zarr
from obstore.exceptions import BaseError
from obstore.store import S3Store
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore

from neve.cli.bars import counted
from neve.cube.locking import lock_of, locked
from neve.cube.places import local_folder, open_repository
from neve.errors import AskPerson, CubeMismatch, Retry
from neve.overviews.pooling import check_factors
from neve.pyramids.adding import add_to_icechunk, add_to_zarr
from neve.pyramids.asked import Wanted
from neve.pyramids.asked import planned as plan_levels

Options = Mapping[str, Any]


def add_levels(location: str, wanted: Wanted, s3_options: Options) -> str | None:
    """Add levels to a plain Zarr dataset or an Icechunk repository; the latter's snapshot.

    On this machine one command at a time does so. Raises ``CubeMismatch`` for a cube of neve's own:
    its levels are made with its months.
    """
    found = _zarr(location, s3_options, "r+")
    target = open_repository(location, s3_options) if found is None else found
    with (
        counted("window") as show,
        _explained(location),
        locked(lock_of(location)),
    ):

        def progress(name: str, done: int, total: int) -> None:
            show(done, total, name)

        if isinstance(target, zarr.Group):
            add_to_zarr(target, wanted, progress)
            return None
        _root(target, location)
        folder = local_folder(location)
        return add_to_icechunk(target, wanted, progress=progress, folder=folder)


def planned(location: str, wanted: Wanted, s3_options: Options) -> list[dict[str, object]]:
    """The arrays that ``add_levels`` would write, as rows; raises as it does."""
    with _explained(location):
        root = _zarr(location, s3_options, "r")
        if root is None:
            root = _root(open_repository(location, s3_options), location)
        _, plans = plan_levels(root, wanted)
    return [
        {
            "variable": plan.raster.name,
            "level": f"{level.factor}x",
            "method": plan.method,
            "shape": level.shape,
            "chunks": level.chunks,
        }
        for plan in plans
        for level in plan.levels
    ]


def _zarr(location: str, s3_options: Options, mode: Any) -> zarr.Group | None:
    """The root of a plain Zarr dataset in a folder or on S3, None where there is none."""
    folder = local_folder(location)
    if folder is None and not location.startswith("s3://"):
        return None
    try:
        store: Store = LocalStore(folder) if folder else ObjectStore(_bucket(location, s3_options))
        if not any(sync(store.exists(name)) for name in ("zarr.json", ".zgroup")):
            return None
    except BaseError:  # of a place that does not answer Icechunk tells more
        return None
    return zarr.open_group(store, mode=mode)


def _bucket(location: str, s3_options: Options) -> S3Store:
    endpoint = s3_options.get("endpoint_url")
    if endpoint is None:
        return S3Store.from_url(location)
    insecure = {"allow_http": s3_options["allow_http"]}
    return S3Store.from_url(location, endpoint=endpoint, client_options=insecure)


def _root(repository: ic.Repository, location: str) -> zarr.Group:
    root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    if "neve" in root.attrs:
        raise CubeMismatch(f"{location}: a cube of neve's has its levels made with its months")
    return root


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """Methods and factors that do not fit the dataset are the asker's, a store's trouble passes."""
    try:
        yield
    except ValueError as error:
        raise AskPerson(f"overviews: {error}") from error
    except BaseError as error:
        raise Retry(f"{location}: {error}; run again, which goes on where it was") from error


def wanted_levels(factors: str, methods: Sequence[str], crs: str, nest: bool) -> Wanted:
    """Options as a value; raises ``AskPerson`` for what cannot be understood."""
    try:
        chain = check_factors([int(factor) for factor in factors.split(",")])
        chosen = dict(pair.split("=") for pair in methods)
    except ValueError as error:
        raise AskPerson(f"overviews: {error}; e.g. --factors 4,16 --method SCL=mode") from error
    return Wanted(chain, chosen, crs or None, nest)
