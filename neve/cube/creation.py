"""A layout's groups and arrays in a store: created empty, checked, lengthened by months.

Belongs here: zarr arrays and their CF attributes. Does not belong here: what there is to be
(``layout``), sessions and commits (``store``), pixels (``block``).
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.errors import GroupNotFoundError

from neve.cube import chunks, geozarr, handles, records
from neve.cube.layout import Layout, Preview, month_after
from neve.errors import CubeMismatch
from neve.grid import Grid

# Blosc's own, smaller blocks take 2–4 % more bytes and up to twice the CPU (docs/cube.md).
COMPRESSOR = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", blocksize=2**18)
AXIS_CHUNK = 1024
COORDINATE_CHUNK = 65536
PREVIEWS = {
    "visual": "three variables as red, green and blue, stretched",
    "pca": "first three principal components as red, green and blue, equalised",
}
EPOCH = date(1970, 1, 1)
# The arrays that tell when the periods of a group begin and end.
TIME_AXIS = ("time", "time_bnds")


def create(store: Store, layout: Layout) -> None:
    """Write all groups and arrays of an empty cube: coordinates, and a time axis of length 0."""
    attributes = geozarr.root_attributes(layout.grid, layout.factors)
    root = zarr.create_group(
        store,
        zarr_format=3,
        attributes={
            "Conventions": "CF-1.11",
            "title": f"{layout.name}: monthly Sentinel-2 composite",
            "source": "Sentinel-2 L2A; contains modified Copernicus Sentinel data",
            **attributes,
            "neve": layout.identity(),
        },
    )
    for factor in layout.levels:
        _create_variables(create_level(root, layout.grid, factor), layout, factor)
    _create_blocks(root, layout)


def check(store: Store, layout: Layout) -> None:
    """Raise ``CubeMismatch`` unless the store holds exactly this layout."""
    try:
        found = zarr.open_group(store, mode="r").attrs.asdict().get("neve")
    except GroupNotFoundError:
        found = None
    if not isinstance(found, dict):
        raise CubeMismatch(f"{layout.name}: the store holds no neve cube; name an empty store")
    for key, wanted in layout.identity().items():
        if found.get(key) != wanted:
            raise CubeMismatch(
                f"{layout.name}: the cube was made with {key} {found.get(key)!r}, the region now "
                f"says {wanted!r}; put the region file back or name another store"
            )


def extend_time(store: Store, layout: Layout, month: str) -> None:
    """Make the time axis reach ``month``; nothing happens where it does already."""
    length = layout.month_index(month) + 1
    if time_length(store) < length:
        starts = [_month_start(layout.start, k) for k in range(length + 1)]
        set_periods(store, _timed(layout), starts)


def lengthen_time(store: Store, layout: Layout, month: str) -> None:
    """Give all arrays the length that reaches ``month``, and no dates: for what nobody looks at.

    Each date is a chunk, whose manifest would be a request more to an object store.
    """
    length = layout.month_index(month) + 1
    if time_length(store) < length:
        _set_length(store, _timed(layout), length)


def time_length(store: Store) -> int:
    """How many months the time axis has: all axes have one length."""
    (told,) = handles.metadata(store, ["blocks/time"])
    return int(told["shape"][0])


def set_periods(store: Store, arrays: Sequence[str], starts: Sequence[int]) -> None:
    """Make the time axis of the arrays the periods between ``starts``, days since EPOCH.

    ``arrays``: the paths of all that have one, also of those that tell the periods. Their metadata
    are changed as the format has it: zarr's own way takes some 2 ms of CPU an array, and a cube
    with all indices has a thousand.
    """
    bounds = np.stack([starts[:-1], starts[1:]], axis=1).astype(np.int32)
    axes = dict(zip(TIME_AXIS, (bounds[:, 0], bounds), strict=True))
    _set_length(store, arrays, len(bounds))
    telling = handles.opened(store, [p for p in arrays if p.rpartition("/")[2] in TIME_AXIS])
    values = [axes[array.basename] for array in telling]
    chunks.write([(a, (0,) * v.ndim, v) for a, v in zip(telling, values, strict=True)])


def _set_length(store: Store, arrays: Sequence[str], length: int) -> None:
    """Make the first axis of arrays so long."""
    found = handles.metadata(store, arrays)
    for told in found:
        told["shape"][0] = length
    handles.set_metadata(store, arrays, found)


def _timed(layout: Layout) -> list[str]:
    """The paths of all arrays that have a time axis."""
    pixels = [*(v.name for v in layout.variables), *(p.name for p in layout.previews)]
    groups = {geozarr.level_name(factor): pixels for factor in layout.levels}
    groups["blocks"] = list(records.arrays(layout))
    return [f"{group}/{name}" for group in groups for name in (*groups[group], *TIME_AXIS)]


def create_level(root: zarr.Group, native: Grid, factor: int) -> zarr.Group:
    """The group of a level: its coordinates, and a time axis of length 0."""
    grid = native.level(factor)
    group = root.create_group(geozarr.level_name(factor), attributes=geozarr.level_attributes(grid))
    y, x = geozarr.dimensions(grid)
    _create_time(group)
    for name, values, attributes in zip(
        (y, x), (grid.ys(), grid.xs()), geozarr.axis_attributes(grid), strict=True
    ):
        _write(group, name, values, (name,), attributes)
    _write(group, "spatial_ref", np.array(0), (), geozarr.grid_mapping(grid))
    return group


def _create_variables(group: zarr.Group, layout: Layout, factor: int) -> None:
    grid = layout.grid.level(factor)
    y, x = geozarr.dimensions(grid)
    for variable in layout.variables:
        group.create_array(
            variable.name,
            shape=(0, *grid.shape),
            chunks=layout.chunk_shape(factor),
            dtype=variable.dtype if factor == 1 else variable.overview_dtype,
            fill_value=variable.fill,
            dimension_names=("time", y, x),
            compressors=COMPRESSOR,
            attributes={**variable.attributes, "grid_mapping": "spatial_ref"},
        )
    for preview in layout.previews:
        create_preview(group, preview, grid, layout.chunk_shape(factor))


def create_preview(
    group: zarr.Group, preview: Preview, grid: Grid, chunks: tuple[int, int, int]
) -> None:
    """The empty array of a preview at one level; ``chunks`` of (time, y, x)."""
    group.create_array(
        preview.name,
        shape=(0, *grid.shape, 3),
        chunks=(*chunks, 3),
        dtype="uint8",
        fill_value=0,
        dimension_names=("time", *geozarr.dimensions(grid), "rgb"),
        compressors=COMPRESSOR,
        attributes={
            "long_name": PREVIEWS[preview.name],
            "variables": list(preview.variables),
            "_FillValue": 0,
            "valid_min": 1,
            "valid_max": 255,
            "grid_mapping": "spatial_ref",
        },
    )


def _create_blocks(root: zarr.Group, layout: Layout) -> None:
    group = root.create_group("blocks", attributes={"block": layout.block})
    _create_time(group)
    if layout.stored:
        names = np.array([index.name for index in layout.stored], np.dtypes.StringDType())
        _write(group, "index", names, ("index",), {})
    for name, array in records.arrays(layout).items():
        sizes = array.further.values()
        group.create_array(
            name,
            shape=(0, *layout.blocks_shape(), *sizes),
            chunks=(1, *layout.record_chunk(), *(min(n, records.MOST_A_CHUNK) for n in sizes)),
            dtype=array.dtype,
            fill_value=0,
            dimension_names=("time", "block_row", "block_col", *array.further),
            attributes=array.attributes,
        )


def _create_time(group: zarr.Group) -> None:
    for name, shape, dims, attributes in (
        ("time", (0,), ("time",), geozarr.TIME_ATTRIBUTES),
        ("time_bnds", (0, 2), ("time", "bnds"), {}),
    ):
        group.create_array(
            name,
            shape=shape,
            chunks=(AXIS_CHUNK, *shape[1:]),
            dtype="int32",
            fill_value=0,
            dimension_names=dims,
            attributes=attributes,
        )


def _write(
    group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], attributes: Any
) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(min(length, COORDINATE_CHUNK) for length in values.shape),
        dtype=values.dtype,
        dimension_names=dims,
        attributes=attributes,
    )
    array[...] = values


def _month_start(start: str, offset: int) -> int:
    return (date.fromisoformat(f"{month_after(start, offset)}-01") - EPOCH).days
