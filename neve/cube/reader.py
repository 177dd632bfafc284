"""Reading a published cube back: what anyone sees of it.

Belongs here: opening a snapshot as an xarray tree, summaries and pictures of a month. Does not
belong here: writing, serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import icechunk as ic
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from zarr.errors import GroupNotFoundError

from neve.cube.store import MAIN, storage
from neve.errors import CubeMismatch

RGB = ("red", "green", "blue")
# Land seldom reflects more in the visible; brighter pixels are shown as white.
BRIGHTEST = 0.3
GAP_COLOUR = (24, 26, 32)


@dataclass(frozen=True)
class MonthSummary:
    """One month as published: its share of valid native pixels and pixels per observation count."""

    month: str
    valid_fraction: float
    counts: tuple[int, ...]
    snapshot: str


def open_tree(
    location: str, branch: str = MAIN, s3_options: Mapping[str, Any] | None = None
) -> xr.DataTree:
    """A cube as an xarray DataTree with one group per level; reads lazily.

    Raises ``CubeMismatch`` where there is no cube.
    """
    session = _repository(location, s3_options).readonly_session(branch)
    store: Any = session.store  # xarray's types do not know zarr's stores
    try:
        return xr.open_datatree(store, engine="zarr", zarr_format=3, consolidated=False)
    except GroupNotFoundError as error:
        raise CubeMismatch(f"{location}: an empty repository; build a month first") from error


def summaries(location: str, s3_options: Mapping[str, Any] | None = None) -> list[MonthSummary]:
    """Every month that has a commit on main, in order of time, as its commit tells of it."""
    latest: dict[str, MonthSummary] = {}
    for commit in _repository(location, s3_options).ancestry(branch=MAIN):
        told = commit.metadata
        if "counts" in told:
            month = MonthSummary(
                told["month"], told["valid_fraction"], tuple(told["counts"]), commit.id
            )
            latest.setdefault(month.month, month)
    return [latest[month] for month in sorted(latest)]


def picture(location: str, month: str, widest: int = 1024) -> Image.Image:
    """True colour of a month (the first band in grey where red, green or blue is missing).

    Taken from the finest level that is at most ``widest`` pixels a side; pixels without data
    are dark grey.
    """
    tree = open_tree(location)
    names = sorted((n for n in tree.children if n.endswith("x")), key=lambda n: int(n[:-1]))
    fitting = (n for n in names if max(tree[n]["count"].shape[1:]) <= widest)
    level = tree[next(fitting, names[-1])].sel(time=f"{month}-01")
    bands = RGB if all(band in level for band in RGB) else (str(next(iter(level.data_vars))),) * 3
    pixels = np.stack([level.to_dataset()[band].to_numpy() for band in bands], axis=-1)
    return Image.fromarray(_tone(pixels))


def _tone(reflectance: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    valid = np.isfinite(reflectance).all(axis=-1)
    shown = np.clip(np.nan_to_num(reflectance) / BRIGHTEST, 0, 1) ** (1 / 1.6)
    return np.where(valid[..., None], np.rint(shown * 255), GAP_COLOUR).astype(np.uint8)


def _repository(location: str, s3_options: Mapping[str, Any] | None) -> ic.Repository:
    place = storage(location, s3_options)
    if not ic.Repository.exists(place):
        raise CubeMismatch(f"{location}: no cube here; build one with neve build, or name another")
    return ic.Repository.open(place)
