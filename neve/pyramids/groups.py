"""Groups of overview levels: arrays, coordinates and attributes around the pixels.

Belongs here: creating what ``pyramid`` fills, and describing it when it is complete. Does not
belong here: the content of GeoZarr attributes (``geozarr``), pixels (``pyramid_build``).
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from zarr.errors import ZarrUserWarning

from neve.cube import chunks, geozarr
from neve.cube.codec import Array
from neve.grid import Grid
from neve.pyramids.dataset import Dataset, dimensions
from neve.pyramids.plan import Level, RasterPlan

ZARR_3 = 3
NODATA_ATTRIBUTES = ("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range")


def level_path(dataset: Dataset, factor: int) -> str:
    """Path of a level's group: beside the native one, which is factor 1."""
    if factor == 1:
        return dataset.path
    parent, slash, _ = dataset.path.rpartition("/")
    return f"{parent}{slash}{geozarr.level_name(factor)}"


def create_levels(root: zarr.Group, dataset: Dataset, plans: Sequence[RasterPlan]) -> None:
    """Create every level's group anew: empty rasters, coordinates, copies of all else.

    Encoding, chunks and attributes are the native arrays'. Arrays with one spatial dimension
    other than its coordinate are left out.
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
    """Write the GeoZarr attributes of the root, the native group and every level."""
    factors = plans[0].factors
    methods = {plan.method for plan in plans}
    method = methods.pop() if len(methods) == 1 else "mean"
    method = "average" if method == "mean" else method
    attributes = geozarr.root_attributes(dataset.grid, factors, method)
    names = {geozarr.level_name(f): level_path(dataset, f) for f in (1, *factors)}
    for entry in attributes["multiscales"]["layout"]:
        for key in ("asset", "derived_from"):
            if key in entry:
                entry[key] = names[entry[key]]
    root.update_attributes(_with(root, attributes, dataset))
    for factor in (1, *factors):
        group: Any = root[level_path(dataset, factor)]
        attributes = geozarr.level_attributes(dataset.grid.level(factor))
        group.update_attributes(_with(group, attributes, dataset))


def consolidate_again(root: zarr.Group) -> None:
    """Bring consolidated metadata up to date if ``root`` was opened with such."""
    if root.metadata.consolidated_metadata is not None:
        with warnings.catch_warnings():  # Zarr 3 has no standard for it yet; the dataset has it
            warnings.simplefilter("ignore", ZarrUserWarning)
            zarr.consolidate_metadata(root.store, root.path, zarr_format=root.metadata.zarr_format)


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
    attributes = dict(native.attrs)
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
    codecs: dict[str, Any] = {"compressors": native.compressors, "filters": native.filters}
    if native.metadata.zarr_format == ZARR_3:
        codecs["serializer"] = native.serializer
    return codecs


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
