"""Adding levels to a dataset that neve did not make."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import zarr
from tqdm import tqdm

from neve.cube.places import open_repository
from neve.errors import AskPerson, CubeMismatch
from neve.overviews.pooling import check_factors
from neve.pyramids.adding import Wanted, add_to_icechunk, add_to_zarr


def add_levels(location: str, wanted: Wanted) -> str:
    """Add levels to a Zarr folder or an Icechunk repository; says what was done.

    Raises ``CubeMismatch`` for a cube of neve's own: its levels are made with its months.
    """
    with tqdm(unit="window") as bar:

        def progress(name: str, done: int, total: int) -> None:
            _show(bar, name, done, total)

        if (Path(location) / "zarr.json").is_file() or (Path(location) / ".zgroup").is_file():
            add_to_zarr(zarr.open_group(location, mode="r+"), wanted, progress)
            return location
        repository = open_repository(location)
        root = zarr.open_group(repository.readonly_session("main").store, mode="r")
        if "neve" in root.attrs:
            raise CubeMismatch(f"{location}: a cube of neve's has its levels made with its months")
        folder = None if "://" in location else Path(location)
        return add_to_icechunk(repository, wanted, progress=progress, folder=folder)


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
