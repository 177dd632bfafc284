"""Groups of overview levels: arrays, coordinates and attributes around the pixels.

Belongs here: creating what ``building`` fills, and describing it when it is complete. Does not
belong here: the content of GeoZarr attributes (``geozarr``), pixels (``building``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from neve.cube import chunks, geozarr
from neve.cube.codec import Array
from neve.grid import Grid
from neve.pyramids.dataset import Dataset, dimensions
from neve.pyramids.plan import Level, RasterPlan

ZARR_3 = 3
# What a group may have from before and must not keep: a root with a transform is taken for a level.
OUTDATED = ("proj:code", "spatial:transform", "spatial:shape")
METHOD = "overview_method"
NODATA_ATTRIBUTES = ("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range")


def level_path(dataset: Dataset, factor: int) -> str:
    """Path of a level's group: beside the native one, which is factor 1."""
    if factor == 1:
        return dataset.path
    parent, slash, _ = dataset.path.rpartition("/")
    return f"{parent}{slash}{geozarr.level_name(factor)}"


def create_levels(root: zarr.Group, dataset: Dataset, plans: Sequence[RasterPlan]) -> None:
    """Create every level's group anew: empty rasters, coordinates, copies of all else.

    Encoding (``_codecs``), chunks and attributes are the native arrays'. Arrays with one spatial
    dimension other than its coordinate are left out.
    """
    group: Any = root[dataset.path]
    native = dict(group.arrays())
    rasters = {plan.raster.name for plan in plans}
    copies: list[tuple[Array, Sequence[int], Any]] = []
    for k, factor in enumerate(plans[0].factors):
        group = root.create_group(level_path(dataset, factor), overwrite=True)
        for plan in plans:
            _create_raster(group, native[plan.raster.name], plan, plan.levels[k])
        grid = dataset.grid.level(factor)
        coordinates = dict(zip(dataset.dims, (grid.ys(), grid.xs()), strict=True))
        for name, array in native.items():
            if name in coordinates or not {name, *dimensions(array)} & {*rasters, *dataset.dims}:
                values = coordinates[name] if name in coordinates else array[...]
                copies.append(_copy(group, array, values, grid))
    chunks.write(copies)


def describe_levels(root: zarr.Group, dataset: Dataset, plans: Sequence[RasterPlan]) -> None:
    """Write the GeoZarr attributes of every level, the native group and, last, the root.

    The root tells the default method; arrays of another say it themselves (``METHOD``).
    """
    factors = plans[0].factors
    for factor in (*reversed(factors), 1):
        group: Any = root[level_path(dataset, factor)]
        _tell(group, geozarr.level_attributes(dataset.grid.level(factor)), dataset)
    methods = {plan.method for plan in plans}
    method = methods.pop() if len(methods) == 1 else "mean"
    method = "average" if method == "mean" else method
    attributes = geozarr.root_attributes(dataset.grid, factors, method)
    names = {geozarr.level_name(f): level_path(dataset, f) for f in (1, *factors)}
    for entry in attributes["multiscales"]["layout"]:
        for key in ("asset", "derived_from"):
            if key in entry:
                entry[key] = names[entry[key]]
    _tell(root, attributes, dataset)


def _tell(group: zarr.Group, attributes: dict[str, Any], dataset: Dataset) -> None:
    """Put GeoZarr attributes in the place of what a group has of them; others are kept."""
    kept = {key: value for key, value in group.attrs.items() if key not in OUTDATED}
    group.attrs.put(kept | _with(group, attributes, dataset))


def _with(group: zarr.Group, attributes: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The attributes with the dataset's own dimension names, and other conventions kept."""
    ours = attributes["zarr_conventions"]
    known = {convention["uuid"] for convention in ours}
    present: Any = group.attrs.get("zarr_conventions", [])
    others = [convention for convention in present if convention.get("uuid") not in known]
    return attributes | {
        "zarr_conventions": [*ours, *others],
        "spatial:dimensions": list(dataset.dims),
    }


def _create_raster(group: zarr.Group, native: Array, plan: RasterPlan, level: Level) -> None:
    wide = plan.method == "sum" and native.dtype.kind != "f"
    attributes = {key: value for key, value in native.attrs.items() if key != METHOD}
    if plan.method != "mean":
        attributes[METHOD] = plan.method
    options: dict[str, Any] = {"fill_value": native.fill_value, "dtype": native.dtype}
    if wide:
        attributes = {k: v for k, v in attributes.items() if k not in NODATA_ATTRIBUTES}
        options = {"fill_value": np.nan, "dtype": np.float64}
    else:
        options |= _codecs(native)
    if native.metadata.zarr_format == ZARR_3:
        options["dimension_names"] = dimensions(native) or None
        options["shards"] = level.unit if level.unit != level.chunks else None
    group.create_array(
        plan.raster.name,
        shape=level.shape,
        chunks=level.chunks,
        attributes=attributes,
        **options,
    )


def _codecs(native: Array) -> dict[str, Any]:
    """The native array's, but zstd 1 for Zarr's default, which takes 2.5 times its CPU for as much
    as 1 % fewer bytes."""
    codecs: dict[str, Any] = {"compressors": native.compressors, "filters": native.filters}
    if native.metadata.zarr_format == ZARR_3:
        codecs["compressors"] = tuple(map(_quick, native.compressors))
        codecs["serializer"] = native.serializer
    return codecs


def _quick(codec: Any) -> Any:
    if isinstance(codec, ZstdCodec) and codec.level == 0:
        return ZstdCodec(level=1, checksum=codec.checksum)
    return codec


def _copy(
    group: zarr.Group, native: Array, values: Any, grid: Grid
) -> tuple[Array, Sequence[int], Any]:
    """An array like ``native`` in one chunk, still empty, with what is to be written to it."""
    options: dict[str, Any] = {}
    if native.metadata.zarr_format == ZARR_3:
        options["dimension_names"] = dimensions(native) or None
    attributes = dict(native.attrs)
    if "GeoTransform" in attributes:
        attributes["GeoTransform"] = geozarr.grid_mapping(grid)["GeoTransform"]
    values = np.asarray(values, native.dtype)
    copy = group.create_array(
        native.name.rpartition("/")[2],
        shape=values.shape,
        chunks=tuple(max(size, 1) for size in values.shape),
        dtype=native.dtype,
        fill_value=native.fill_value,
        attributes=attributes,
        **options,
    )
    return copy, (0,) * values.ndim, values
