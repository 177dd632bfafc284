"""Adding levels to a dataset that neve did not make."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import icechunk as ic
import zarr
from tqdm import tqdm

from neve.cube.places import open_repository
from neve.errors import AskPerson, CubeMismatch
from neve.overviews.pooling import check_factors
from neve.pyramids.adding import Wanted, add_to_icechunk, add_to_zarr
from neve.pyramids.adding import planned as plan_levels


def add_levels(location: str, wanted: Wanted) -> str | None:
    """Add levels to a Zarr folder or an Icechunk repository; returns the snapshot of the latter.

    Raises ``CubeMismatch`` for a cube of neve's own: its levels are made with its months.
    """
    # None: no bar where standard error is no terminal.
    with tqdm(unit="window", disable=None) as bar, _explained():

        def progress(name: str, done: int, total: int) -> None:
            _show(bar, name, done, total)

        if _is_zarr(location):
            add_to_zarr(zarr.open_group(location, mode="r+"), wanted, progress)
            return None
        repository = open_repository(location)
        _root(repository, location)
        folder = None if "://" in location else Path(location)
        return add_to_icechunk(repository, wanted, progress=progress, folder=folder)


def planned(location: str, wanted: Wanted) -> list[dict[str, object]]:
    """The arrays that ``add_levels`` would write, as rows; raises as it does."""
    with _explained():
        zarr_folder = _is_zarr(location)
        root = (
            zarr.open_group(location, mode="r")
            if zarr_folder
            else _root(open_repository(location), location)
        )
        return [
            {
                "variable": plan.raster.name,
                "level": f"{level.factor}x",
                "method": plan.method,
                "shape": level.shape,
                "chunks": level.chunks,
            }
            for plan in plan_levels(root, wanted)
            for level in plan.levels
        ]


def _is_zarr(location: str) -> bool:
    return any((Path(location) / name).is_file() for name in ("zarr.json", ".zgroup"))


def _root(repository: ic.Repository, location: str) -> zarr.Group:
    root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    if "neve" in root.attrs:
        raise CubeMismatch(f"{location}: a cube of neve's has its levels made with its months")
    return root


@contextmanager
def _explained() -> Iterator[None]:
    """Methods and factors that do not fit the dataset are the asker's."""
    try:
        yield
    except ValueError as error:
        raise AskPerson(f"overviews: {error}") from error


def wanted_levels(factors: str, methods: Sequence[str], crs: str) -> Wanted:
    """Options as a value; raises ``AskPerson`` for what cannot be understood."""
    try:
        chain = check_factors([int(factor) for factor in factors.split(",")])
        chosen = dict(pair.split("=") for pair in methods)
    except ValueError as error:
        raise AskPerson(f"overviews: {error}; e.g. --factors 4,16 --method SCL=mode") from error
    return Wanted(chain, chosen, crs or None)


def _show(bar: "tqdm[NoReturn]", name: str, done: int, total: int) -> None:
    bar.set_description(name)
    bar.total = total
    bar.n = done
    bar.refresh()
