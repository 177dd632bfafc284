"""What a GeoZarr, CF Zarr or Icechunk dataset holds: its native rasters and grid.

Belongs here: reading the metadata of datasets, neve's or others', and saying what is missing or
ambiguous in them. Does not belong here: pixels, levels (``plan``), neve's own layout
(``layout``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from pyproj import CRS
from pyproj.exceptions import CRSError
from xarray.backends.zarr import FillValueCoder

from neve.cube import geozarr
from neve.errors import CubeMismatch
from neve.grid import Grid
from neve.pyramids.state import state_of

AXES = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("Y", "X"), ("northing", "easting"))
UNEVEN = 1e-3  # share of a pixel by which a coordinate may stray from an even grid


@dataclass(frozen=True)
class Raster:
    """One native array with both spatial dimensions.

    ``axes``: positions of the vertical and horizontal dimension. ``unit``: shape of a storage
    object (shard, or chunk without sharding), ``chunks``: of what is decoded at once.
    ``nodata`` is what CF declares (None: all pixels but NaN are valid), ``background`` what an
    absent chunk reads as. ``scale`` and ``offset``: CF's packing. ``classes``: whether values are
    CF flags.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[int, int]
    unit: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    nodata: int | float | None
    background: int | float
    scale: float = 1.0
    offset: float = 0.0
    classes: bool = False


@dataclass(frozen=True)
class Dataset:
    """The native group of a dataset: ``path`` ("" for the root), its grid and its rasters."""

    path: str
    grid: Grid
    dims: tuple[str, str]
    rasters: tuple[Raster, ...]


def describe(root: zarr.Group, crs: str | None = None, native: str | None = None) -> Dataset:
    """Find the native rasters of a dataset and where they lie.

    ``native``: path of their group, else the first of GeoZarr ``multiscales``, the root if it
    has rasters, or its only child that has.
    ``crs`` is used where the dataset does not say (GeoZarr ``proj:code`` or ``proj:wkt2``, or a CF
    grid mapping).
    Raises ``CubeMismatch`` if there is none, if the native group is ambiguous, or if the
    pixels are not square and north-up.
    """
    path = _native_path(root) if native is None else native
    group = _group(root, path)
    arrays = dict(group.arrays())
    dims = spatial_dimensions(arrays)
    if dims is None:
        raise CubeMismatch(
            f"group {path or '/'}: no array with dimensions named like {AXES[0]} or {AXES[1]}"
        )
    code = _geozarr_crs(group) or _geozarr_crs(root) or _cf_crs(arrays) or _named(crs)
    if code is None:
        raise CubeMismatch(f"group {path or '/'} has no CRS (proj:code, grid mapping): name one")
    rasters = tuple(
        _raster(name, array, dims)
        for name, array in sorted(arrays.items())
        if set(dims) <= set(dimensions(array))
    )
    first = rasters[0]
    height, width = (first.shape[axis] for axis in first.axes)
    odd = [r.name for r in rasters if tuple(r.shape[a] for a in r.axes) != (height, width)]
    if odd:
        raise CubeMismatch(f"arrays {odd} are not as large as {first.name}: {height} x {width}")
    return Dataset(path, _grid(group, arrays, dims, code), dims, rasters)


def lies_flat(root: zarr.Group) -> bool:
    """Whether the native rasters lie in the root group itself, as xarray writes them."""
    elsewhere = root.attrs.get("multiscales") or "native" in state_of(root)
    return not elsewhere and spatial_dimensions(dict(root.arrays())) is not None


def dimensions(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of the dimensions (Zarr 3, or xarray's attribute in Zarr 2); () if it has none."""
    legacy: Any = array.attrs.get("_ARRAY_DIMENSIONS", ())
    return tuple(str(n) for n in getattr(array.metadata, "dimension_names", None) or legacy)


def _group(root: zarr.Group, path: str) -> zarr.Group:
    node = root[path] if path else root
    if not isinstance(node, zarr.Group):
        raise CubeMismatch(f"{path}: an array, not a group; levels need a group of arrays each")
    return node


def _native_path(root: zarr.Group) -> str:
    multiscales: Any = root.attrs.get("multiscales", {})
    if multiscales.get("layout"):
        return str(multiscales["layout"][0]["asset"])
    if lies_flat(root):
        return ""
    found = [name for name, group in root.groups() if spatial_dimensions(dict(group.arrays()))]
    if len(found) != 1:
        raise CubeMismatch(
            f"groups with rasters: {found or 'none'}; give the group whose only child is native, "
            "or one with GeoZarr multiscales"
        )
    return found[0]


def spatial_dimensions(arrays: Mapping[str, zarr.Array[Any]]) -> tuple[str, str] | None:
    """Names of the vertical and the horizontal dimension; None if no array has both."""
    names = [set(dimensions(array)) for array in arrays.values()]
    return next((pair for pair in AXES if any(set(pair) <= have for have in names)), None)


def _raster(name: str, array: zarr.Array[Any], dims: tuple[str, str]) -> Raster:
    order = dimensions(array)
    if array.dtype.kind not in "iufb":
        raise CubeMismatch(f"array {name}: its values are {array.dtype}, levels need numbers")
    background = array.fill_value
    return Raster(
        name=name,
        shape=array.shape,
        axes=(order.index(dims[0]), order.index(dims[1])),
        unit=array.shards or array.chunks,
        chunks=array.chunks,
        dtype=array.dtype,
        nodata=_nodata(array),
        background=np.zeros((), array.dtype).item() if background is None else background.item(),
        scale=float(array.attrs.get("scale_factor", 1)),  # type: ignore[arg-type]
        offset=float(array.attrs.get("add_offset", 0)),  # type: ignore[arg-type]
        classes=not {"flag_values", "flag_masks"}.isdisjoint(array.attrs),
    )


def _nodata(array: zarr.Array[Any]) -> int | float | None:
    """CF's ``_FillValue`` or ``missing_value``; Zarr 2 has it in ``fill_value``, as xarray does.

    None for a value that no pixel can have (−9999 in bytes).
    """
    for key in ("_FillValue", "missing_value"):
        value: Any = array.attrs.get(key)
        if isinstance(value, str):
            value = FillValueCoder.decode(value, array.dtype)
        if value is not None:
            return _held(np.asarray(value).item(), array.dtype)
    if array.metadata.zarr_format == 2 and array.fill_value is not None:
        return array.fill_value.item()
    return None


def _held(value: Any, dtype: np.dtype[Any]) -> int | float | None:
    """A value as a dtype has it; None for an integer dtype that has not."""
    if dtype.kind in "iu" and not (
        value % 1 == 0 and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    ):
        return None
    return np.asarray(value, dtype).item()


def _geozarr_crs(group: zarr.Group) -> str | None:
    return _named(group.attrs.get("proj:code") or group.attrs.get("proj:wkt2"))


def _named(said: Any) -> str | None:
    """``EPSG:<code>`` or the like; WKT for a CRS that no authority has named; None for none."""
    if not said:
        return None
    try:
        crs = CRS(said)
    except CRSError as error:
        raise CubeMismatch(f"CRS {said!r}: {error}") from error
    if geozarr.is_code(said):
        return str(said)
    authority = crs.to_authority(min_confidence=70)
    return ":".join(authority) if authority else crs.to_wkt("WKT2_2019")


def _cf_crs(arrays: Mapping[str, zarr.Array[Any]]) -> str | None:
    for array in arrays.values():
        if "crs_wkt" not in array.attrs and "grid_mapping_name" not in array.attrs:
            continue
        try:
            crs = CRS.from_cf(dict(array.attrs))
        except CRSError:
            continue
        return _named(crs)
    return None


def _grid(
    group: zarr.Group, arrays: Mapping[str, zarr.Array[Any]], dims: tuple[str, str], crs: str
) -> Grid:
    """From ``spatial:transform``, else from the coordinates of the pixel centres."""
    shapes = (dict(zip(dimensions(a), a.shape, strict=False)) for a in arrays.values())
    height, width = next((s[dims[0]], s[dims[1]]) for s in shapes if set(dims) <= set(s))
    transform: Any = group.attrs.get("spatial:transform")
    if transform:
        dx, shear, left, turn, dy, top = map(float, transform[:6])
    else:
        dy, top = _step_and_edge(arrays, dims[0])
        dx, left = _step_and_edge(arrays, dims[1])
        shear = turn = 0.0
    if shear or turn or dx <= 0 or abs(dx + dy) > UNEVEN * dx / max(width, height):
        raise CubeMismatch(
            f"pixels of {dx} by {dy}, sheared by {shear} and {turn}: levels need square north-up "
            "pixels; warp or flip the data first"
        )
    return Grid(crs=crs, resolution=dx, left=left, top=top, width=width, height=height)


def _step_and_edge(arrays: Mapping[str, zarr.Array[Any]], dim: str) -> tuple[float, float]:
    """Signed pixel size along a dimension, and the outer edge of its first pixel."""
    if dim not in arrays or arrays[dim].shape[0] < 2:
        raise CubeMismatch(f"no spatial:transform, and no coordinate {dim} to tell the pixel size")
    centres = np.asarray(arrays[dim][:], np.float64)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    stray = np.abs(centres - (centres[0] + step * np.arange(len(centres)))).max()
    if not stray <= UNEVEN * abs(step):
        raise CubeMismatch(f"coordinate {dim} is not evenly spaced (off by {stray}): no levels")
    return float(step), float(centres[0] - step / 2)
