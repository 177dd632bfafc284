"""The dataset of ``overviews.py``: an Icechunk repository that it makes and its variants read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr

icechunk.set_logs_filter("error")
FACTORS = (4, 16, 64)
CHUNK = 512
FILLS = {"u16": 0, "i16": -32768, "f32": np.nan}


def repository(path: Path) -> icechunk.Repository:
    """The repository in a folder, made if it is not there."""
    return icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(path)))


def reading(path: Path) -> Any:
    """A store for reading ``main``."""
    return repository(path).readonly_session("main").store


@contextmanager
def writing(path: Path) -> Iterator[Any]:
    """A store whose changes are committed at the end."""
    session = repository(path).writable_session("main")
    yield session.store
    session.commit("written")


def make(out: Path, side: int, steps: int, names: tuple[str, ...] = tuple(FILLS)) -> None:
    """Smooth fields with noise, 15 % gaps, and about 30 % of the chunks absent."""
    with writing(out) as store:
        _make(zarr.open_group(store, mode="w"), side, steps, names)


def _make(root: zarr.Group, side: int, steps: int, names: tuple[str, ...]) -> None:
    group = root.create_group("0", attributes={"proj:code": "EPSG:32633"})
    rng = np.random.default_rng(side)
    chunks = -(-side // CHUNK)
    for name in names:
        dtype = {"u16": "uint16", "i16": "int16", "f32": "float32"}[name]
        array = group.create_array(
            name,
            shape=(steps, side, side),
            chunks=(1, CHUNK, CHUNK),
            dtype=dtype,
            fill_value=FILLS[name],
            dimension_names=("time", "y", "x"),
            attributes={"grid_mapping": "spatial_ref"}
            | ({} if name == "f32" else {"_FillValue": FILLS[name]}),
        )
        for t, i, j in np.argwhere(rng.random((steps, chunks, chunks)) < 0.7):
            array.blocks[t, i, j] = _chunk(rng, name, dtype, side, (i, j))[None]
    for dim, step in (("y", -10.0), ("x", 10.0)):
        values = 5e6 + step * (np.arange(side) + 0.5)
        group.create_array(dim, data=values, dimension_names=(dim,))
    group.create_array("time", data=np.arange(steps), dimension_names=("time",))
    crs = group.create_array("spatial_ref", shape=(), dtype="int64", fill_value=0)
    crs.attrs.update({"grid_mapping_name": "transverse_mercator", "crs_wkt": _wkt()})


def _wkt() -> str:
    from pyproj import CRS

    return CRS("EPSG:32633").to_wkt()


def _chunk(
    rng: np.random.Generator, name: str, dtype: str, side: int, at: tuple[int, int]
) -> np.ndarray:
    rows, cols = (min(CHUNK, side - k * CHUNK) for k in at)
    y, x = np.mgrid[:rows, :cols] / 100
    values = 3000 + 2000 * np.sin(y + at[0]) * np.cos(x + at[1]) + rng.normal(0, 40, (rows, cols))
    values = (np.rint(values) / (10000 if name == "f32" else 1)).astype(dtype)
    gaps = rng.random((rows // 8 + 1, cols // 8 + 1)) < 0.15
    values[gaps.repeat(8, 0).repeat(8, 1)[:rows, :cols]] = FILLS[name]
    return values
