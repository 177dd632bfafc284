"""GeoZarr metadata, checked: what a tile server and a browser will rely on must be true.

Belongs here: finding every wrong field of an opened cube, with nothing read but its coordinates.
Does not belong here: writing the fields (``geozarr``), opening (``reader``).

The coordinates are what the pixels are at, so everything that is said beside them (transforms,
boxes, shapes, scales, factors) is worked out from them anew and compared.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from neve.cube import geozarr
from neve.errors import MetadataInvalid
from neve.grid import Grid

METHODS = ("average", "nearest", "mode", "median", "min", "max", "sum")
# Share of a pixel that positions may differ by: coordinates are float64, some were float32.
TOLERANCE = 1e-3
CODE, WKT, DIMENSIONS, LAYOUT = "proj:code", "proj:wkt2", "spatial:dimensions", "multiscales.layout"


def check(tree: xr.DataTree, name: str) -> None:
    """Raise ``MetadataInvalid``, naming every wrong field, unless the metadata are right.

    ``tree``: a cube as an xarray tree; ``name``: what the message calls it.
    """
    if found := problems(tree):
        listed = "\n  ".join(found)
        raise MetadataInvalid(
            f"{name}: GeoZarr metadata are wrong; put them right or go back to an earlier "
            f"snapshot (neve log):\n  {listed}"
        )


def problems(tree: xr.DataTree) -> list[str]:
    """Every wrong field: where it is, what it says and what it should say; reads no pixel."""
    paths = _paths(tree.attrs)
    if not paths:
        return [f"/: {LAYOUT} lists no level"]
    if missing := [path for path in paths if path not in tree or not tree[path].data_vars]:
        return [f"/: {LAYOUT} names {path!r}, which is no group with data" for path in missing]
    grids: list[Grid] = []
    for path in paths:
        try:
            grids.append(_grid(_node(tree, path)))
        except ValueError as error:
            return [f"/{path}: {error}"]
    native = grids[0]
    factors = [round(grid.resolution / native.resolution) for grid in grids]
    found = list(_strangers(tree, paths))
    if factors != sorted(set(factors)):
        found.append(f"/: {LAYOUT} goes from fine to coarse, pixels are × {factors}")
    dims = tree[paths[0]].attrs[DIMENSIONS]
    wanted = _root(tree.attrs, native, factors, paths) | {DIMENSIONS: dims}
    found += _compared("/", tree.attrs, wanted, native)
    for path, grid, factor in zip(paths, grids, factors, strict=True):
        node = _node(tree, path)
        wanted = geozarr.level_attributes(native.level(factor)) | {DIMENSIONS: dims}
        found += _compared(f"/{path}", node.attrs, wanted, grid)
        found += _arrays(path, node, _node(tree, paths[0]), grid)
    return found


def _paths(attributes: Mapping[Any, Any]) -> list[str]:
    multiscales = attributes.get("multiscales")
    layout = multiscales.get("layout") if isinstance(multiscales, Mapping) else None
    entries = layout if isinstance(layout, list) else []
    return [str(entry.get("asset")) for entry in entries if isinstance(entry, Mapping)]


def _node(tree: xr.DataTree, path: str) -> xr.DataTree:
    node = tree[path]
    assert isinstance(node, xr.DataTree)
    return node


def _grid(node: xr.DataTree) -> Grid:
    """The grid that the coordinates of a level lie on; ValueError where they lie on none."""
    dims = node.attrs.get(DIMENSIONS)
    dims = dims if isinstance(dims, list) else []
    if len(dims) != 2 or not all(isinstance(dim, str) and dim in node.indexes for dim in dims):
        raise ValueError(f"{DIMENSIONS} {dims!r} are not this level's two coordinates")
    y, x = (node[dim].to_numpy().astype("float64") for dim in dims)
    step = _step(x, -y, node.attrs)
    for name, values, pitch in ((dims[0], y, -step), (dims[1], x, step)):
        even = values[0] + pitch * np.arange(values.size)
        if not step > 0 or np.abs(values - even).max() > TOLERANCE * step * max(1, values.size):
            raise ValueError(f"{name} is not evenly spaced by {pitch:g}, north up, square pixels")
    said = node.attrs.get(CODE, node.attrs.get(WKT))  # a CRS that no authority has named is WKT
    try:
        crs = CRS(said)
    except CRSError as error:
        raise ValueError(f"{CODE} {said!r} is no CRS") from error
    left, top = float(x[0]) - step / 2, float(y[0]) + step / 2
    return Grid(crs.to_string(), step, left, top, x.size, y.size)


def _step(x: NDArray[np.float64], down: NDArray[np.float64], said: Mapping[Any, Any]) -> float:
    """Size of a pixel; a level of one cell has nothing but what its transform says."""
    for values in (x, down):
        if values.size > 1:
            return float(values[-1] - values[0]) / (values.size - 1)
    transform = said.get("spatial:transform")
    first = transform[0] if isinstance(transform, list) and transform else None
    return float(first) if isinstance(first, int | float) else np.nan


def _root(
    attributes: Mapping[Any, Any], native: Grid, factors: list[int], paths: list[str]
) -> geozarr.Attributes:
    said = attributes["multiscales"].get("resampling_method")
    method = said if said in METHODS else "average"
    wanted = geozarr.root_attributes(native, factors[1:], method)
    for k, entry in enumerate(wanted["multiscales"]["layout"]):
        entry["asset"] = paths[k]
        if k:
            entry["derived_from"] = paths[k - 1]
    return wanted


def _compared(
    place: str, said: Mapping[Any, Any], wanted: Mapping[str, Any], grid: Grid
) -> Iterator[str]:
    if CODE in said and CODE not in wanted:
        yield f"{place}: {CODE} is {said[CODE]!r}, which is no <authority>:<code>; leave it out"
    for key, value in wanted.items():
        if key == "zarr_conventions":
            listed = said.get(key)
            for convention in value:
                if not isinstance(listed, list) or listed.count(convention) != 1:
                    yield f"{place}: {key} should list once {convention!r}"
        elif key == WKT:
            if not _same_crs(said.get(key), grid.crs):
                yield f"{place}: {key} is not {grid.crs}"
        elif not _equal(said.get(key), value, TOLERANCE * grid.resolution):
            yield f"{place}: {key} is {said.get(key)!r}, should be {value!r}"


def _equal(said: Any, wanted: Any, tolerance: float) -> bool:
    """Whether JSON values agree, numbers to within a tolerance; further keys do no harm."""
    if isinstance(wanted, Mapping):
        return isinstance(said, Mapping) and all(
            _equal(said.get(key), value, tolerance) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(said, list)
            and len(said) == len(wanted)
            and all(_equal(a, b, tolerance) for a, b in zip(said, wanted, strict=True))
        )
    if isinstance(wanted, int | float):
        exact = isinstance(wanted, int)
        number = isinstance(said, int if exact else int | float) and not isinstance(said, bool)
        return number and (said == wanted if exact else abs(said - wanted) <= tolerance)
    return bool(said == wanted)


def _same_crs(said: Any, code: str) -> bool:
    return isinstance(said, str) and _is_crs(said, code)


@lru_cache(maxsize=64)
def _is_crs(text: str, code: str) -> bool:
    try:
        return bool(CRS(text) == CRS(code))
    except CRSError:
        return False


def _arrays(path: str, node: xr.DataTree, native: xr.DataTree, grid: Grid) -> Iterator[str]:
    """What is wrong with a level's arrays: missing ones, and what their grid mappings say."""
    dims = set(node.attrs[DIMENSIONS])
    here, there = _rasters(node, dims), _rasters(native, dims)
    for name in sorted(here ^ there):
        yield f"/{path}: {name!r} is not at every level"
    for name in sorted({_mapping(node.data_vars[raster]) for raster in here} - {""}):
        said = node[name].attrs if name in node else {}
        if not _same_crs(said.get("crs_wkt"), grid.crs):
            yield f"/{path}/{name}: crs_wkt is not {grid.crs}"
        wanted = list(grid.transform.to_gdal())
        numbers = str(said.get("GeoTransform", "")).split()
        try:
            same = _equal([float(v) for v in numbers], wanted, TOLERANCE * grid.resolution)
        except ValueError:
            same = False
        if not same:
            yield f"/{path}/{name}: GeoTransform is {' '.join(numbers)!r}, should be {wanted}"


def _rasters(node: xr.DataTree, dims: set[str]) -> set[str]:
    return {str(name) for name, array in node.data_vars.items() if dims <= set(array.dims)}


def _mapping(raster: xr.DataArray) -> str:
    """Name of the grid mapping, if any; xarray puts it into the encoding when it decodes."""
    return str(raster.attrs.get("grid_mapping", raster.encoding.get("grid_mapping", "")))


def _strangers(tree: xr.DataTree, paths: list[str]) -> Iterator[str]:
    """Groups that tile servers would take for a level."""
    for node in tree.subtree:
        path = node.path.strip("/")
        if path not in paths and "spatial:transform" in node.attrs:
            yield f"/{path}: spatial:transform, but {LAYOUT} does not list this group"
