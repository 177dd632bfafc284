"""Land: where there is any, and the blocks of a region that touch it.

Belongs here: getting Natural Earth's 10m land, and testing many lon/lat boxes against it at
once. Does not belong here: what a region asks for (``region``), and whether a pixel is land
(nobody asks; a block is kept or left out whole). Every approximation errs towards keeping.
"""

import json
import struct
import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from math import ceil
from pathlib import Path
from zipfile import BadZipFile

import antimeridian
import cartopy
import numpy as np
import shapefile
import shapely
from cartopy.io import Downloader, DownloadWarning, shapereader
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from neve.errors import AskPerson
from neve.grid import Block, Grid

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]

# Degrees: over five steps of the fallback's coordinates (0.0036° × 0.0017°).
LAND_BUFFER = 0.02
# Segments of a block's edge: at least 3, so that a step round the whole Earth stays under 180°.
EDGE_STEPS = 4


@dataclass(frozen=True, eq=False)
class Land:
    """Land as geometries in lon/lat, cut at ±180°, and the data it came from.

    ``polygons``: object (n,), valid shapely polygons; an islet that the fallback's coarse
    coordinates flattened is a line or a point. ``source`` names the data, for the record.
    """

    polygons: Geometries
    source: str


def load_land(fallback: Path | None = None, allow_download: bool = False) -> Land:
    """Natural Earth's 10m land and minor islands; takes a second or two, keep the result.

    First what cartopy finds in its data directories (downloaded to there where missing, if
    ``allow_download``); then ``fallback``, a folder with the npm package world-atlas (the
    same coastline on a raster of 0.0036° × 0.0017°, with no minor islands of its own).

    Raises AskPerson: there is neither, or a file is there and cannot be read.
    """
    mainland = _natural_earth("land", allow_download)
    if mainland is not None:
        islands = _natural_earth("minor_islands", allow_download)
        polygons = [_read_shapes(path) for path in (mainland, islands) if path is not None]
        note = "+ minor islands" if islands is not None else "(minor islands absent)"
        return Land(_clean(np.concatenate(polygons)), f"cartopy: natural_earth 10m land {note}")
    if fallback is not None and (fallback / "land-10m.json").exists():
        return _read_world_atlas(fallback)
    raise AskPerson(
        "Natural Earth's 10m land is neither in cartopy's folders "
        f"({cartopy.config['pre_existing_data_dir']}, {cartopy.config['data_dir']}) nor is "
        f"land-10m.json in {fallback or 'a fallback folder (none was given)'}: run `npm ci` for "
        "the fallback, allow the download, set CARTOPY_DATA_DIR, or switch the land filter off"
    )


def _natural_earth(name: str, allow_download: bool) -> Path | None:
    """The 10m shapefile as cartopy has it, or None where it is not to be had."""
    fields = {"config": cartopy.config, "resolution": "10m", "category": "physical", "name": name}
    files = Downloader.from_config(("shapefiles", "natural_earth", "10m", "physical", name))
    for path in (files.pre_downloaded_path(fields), files.target_path(fields)):
        if path is not None and path.exists():
            return Path(path)
    if not allow_download:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DownloadWarning)
            return Path(files.path(fields))
    except (OSError, HTTPException, BadZipFile, KeyError):
        return None  # refused, cut off, or some other page in place of the archive


def _read_shapes(path: Path) -> Geometries:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", shapefile.PossiblyCorruptFileHeader)
            with closing(shapereader.Reader(path)) as reader:
                return np.array(list(reader.geometries()), dtype=object)
    except (OSError, ValueError, struct.error, Warning, shapefile.ShapefileException) as error:
        raise AskPerson(
            f"{path}: cannot be read as Natural Earth's shapefile ({error}); delete it and its "
            "neighbours of the same name, and let cartopy fetch it again"
        ) from error


def _read_world_atlas(folder: Path) -> Land:
    """Land of the TopoJSON in the npm package world-atlas.

    Decoded here because GDAL's TopoJSON driver drops the islets whose ring has collapsed to
    three points (13 of 4061). Rings may jump between −180 and 180 even where they touch the
    antimeridian only, so they are made continuous first; what then still crosses is cut.
    """
    try:
        topology = json.loads((folder / "land-10m.json").read_text())
        version = json.loads((folder / "package.json").read_text())["version"]
        scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
        arcs = [np.cumsum(arc, axis=0) * scale + shift for arc in topology["arcs"]]
        members = topology["objects"]["land"]["geometries"]
        faces = [[_ring(arcs, ids) for ids in face] for part in members for face in part["arcs"]]
        polygons = [_face(rings) for rings in faces]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise AskPerson(
            f"{folder}: is not the npm package world-atlas with land-10m.json ({error!r}); "
            "run `npm ci` again"
        ) from error
    return Land(_clean(np.array(polygons)), f"world-atlas {version} land-10m")


def _ring(arcs: list[Floats], ids: list[int]) -> Floats:
    """(n, 2) ring of arcs; ~i is arc i backwards, and each arc starts where the last ended."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ids]
    ring = np.concatenate([parts[0][:1], *(part[1:] for part in parts)])
    ring[:, 0] += _turns(ring[:, 0])
    return ring[::-1]  # the package winds clockwise, antimeridian wants the outside left


def _turns(lons: Floats) -> Floats:
    """Multiples of 360° that make ``lons`` continuous along the last axis."""
    jumps = np.round(np.diff(lons, axis=-1, prepend=lons[..., :1]) / 360)
    return -360 * np.cumsum(jumps, axis=-1)


def _face(rings: list[Floats]) -> BaseGeometry:
    """Polygon of continuous rings (outside first), cut at ±180° if it crosses."""
    first, last = rings[0][0], rings[0][-1]
    if abs(last[0] - first[0]) > 180:  # goes round a pole: close it over that pole
        pole = np.copysign(90.0, first[1])
        rings = [np.vstack([rings[0], (last[0], pole), (first[0], pole)]), *rings[1:]]
    home = [ring - (360 * round((ring[:, 0].min() + ring[:, 0].max()) / 720), 0) for ring in rings]
    if np.abs(home[0][:, 0]).max() <= 180:
        return shapely.Polygon(home[0], home[1:])
    whole = shapely.Polygon(rings[0], rings[1:])
    return antimeridian.fix_polygon(whole, fix_winding=False, great_circle=False)


def _clean(geometries: Geometries) -> Geometries:
    """Single valid parts: the tree tells small boxes apart, and each part is prepared once."""
    valid = shapely.make_valid(shapely.get_parts(geometries))  # "structure" would drop spits
    parts: Geometries = shapely.get_parts(shapely.get_parts(valid))  # collections may nest
    return parts


def touching(land: Land, boxes: Floats, buffer: float = LAND_BUFFER) -> NDArray[np.bool_]:
    """Whether land lies in or within ``buffer`` degrees (of longitude or latitude) of each box.

    ``boxes``: (n, 4) west, south, east, north in degrees; a box with east < west or east > 180
    crosses the antimeridian. The boxes are grown, not the land: that is much cheaper.
    """
    return _meet(land.polygons, np.asarray(boxes, dtype=np.float64), buffer)


def _meet(geometries: Geometries, boxes: Floats, buffer: float) -> NDArray[np.bool_]:
    """(n,): box intersects a geometry (in ±180°). A tree of boxes, asked once per geometry."""
    west, south, east, north = boxes.T
    width = np.where(east < west, east + 360, east) - west + 2 * buffer
    west = 180 - (180 - west + buffer) % 360  # over -180, up to 180
    east = west + width
    over = np.flatnonzero(east >= 180)
    south, north = south - buffer, north + buffer
    again = shapely.box(west[over] - 360, south[over], east[over] - 360, north[over])
    tree = shapely.STRtree(np.concatenate([shapely.box(west, south, east, north), again]))
    _, hits = tree.query(geometries, predicate="intersects")
    met = np.zeros(len(boxes), dtype=bool)
    met[np.concatenate([np.arange(len(boxes)), over])[hits]] = True
    return met


def enumerate_blocks(
    grid: Grid, size: int, land: Land | None, area: BaseGeometry | None = None
) -> list[Block]:
    """The blocks of a grid, row by row, that touch ``land`` and ``area``.

    ``grid`` may be a piece of whole blocks; they are counted from the top left of the whole.
    None of either means everywhere. ``area`` (lon/lat) may reach past ±180°. A block is tested
    by its lon/lat box: one beside the land may be kept, none is lost. Always kept: blocks with a
    corner outside the projection's domain.
    """
    rows, cols = ceil(grid.height / size), ceil(grid.width / size)
    wanted = np.ones(rows * cols, dtype=bool)
    if land is not None or area is not None:
        boxes = _lonlat_boxes(grid, size)
        if land is not None:
            wanted &= touching(land, boxes)
        if area is not None:
            parts = _clean(np.array([area]))
            worlds = [shapely.transform(parts, partial(np.add, (k, 0))) for k in (-360, 0, 360)]
            wanted &= _meet(np.concatenate(worlds), boxes, 0.0)
    kept = (divmod(int(n), cols) for n in np.flatnonzero(wanted))
    first, left = grid.row // size, grid.col // size
    return [replace(grid.block(i, j, size), i=first + i, j=left + j) for i, j in kept]


def _lonlat_boxes(grid: Grid, size: int) -> Floats:
    """(blocks, 4) lon/lat boxes (east may pass 180) that hold the blocks, row by row."""
    edges = _lonlat_edges(grid, size)
    outside = ~np.isfinite(edges).all(axis=(1, 2, 3))
    edges[outside] = 0
    # A step over 180° looks like a jump of a turn. A ring that ends a turn off goes round a pole.
    turns = _turns(np.append(edges[..., 0].reshape(len(edges), -1), edges[:, 0, :1, 0], axis=1))
    edges[..., 0] += turns[:, :-1].reshape(edges.shape[:-1])
    # Between two points an edge bows out by an eighth of its second difference, by a half
    # where it runs into a pole.
    bow = np.abs(np.diff(edges, n=2, axis=2)).max(axis=(1, 2)) / 2
    low, high = edges.min(axis=(1, 2)) - bow, edges.max(axis=(1, 2)) + bow
    polar, north = turns[:, -1] != 0, edges[..., 1].mean(axis=(1, 2)) > 0
    low[polar | outside, 0], high[polar | outside, 0] = -180, 180
    low[polar & ~north | outside, 1], high[polar & north | outside, 1] = -90, 90
    return np.concatenate([low, high], axis=1)


def _lonlat_edges(grid: Grid, size: int) -> Floats:
    """(blocks, 4 edges, EDGE_STEPS + 1, lon/lat) clockwise; inf outside the CRS's domain.

    Neighbours share an edge, so every line of the lattice is projected once.
    """
    left, bottom, right, top = grid.bounds
    step = size * grid.resolution
    xs = np.minimum(left + np.arange(ceil(grid.width / size) + 1) * step, right)
    ys = np.maximum(top - np.arange(ceil(grid.height / size) + 1) * step, bottom)
    share = np.linspace(0, 1, EDGE_STEPS + 1)
    along_x = xs[:-1, None] + np.diff(xs)[:, None] * share
    along_y = ys[:-1, None] + np.diff(ys)[:, None] * share
    level = np.broadcast_arrays(along_x[None], ys[:, None, None])
    plumb = np.broadcast_arrays(xs[None, :, None], along_y[:, None])
    x, y = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(level, plumb, strict=True))
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    points = np.stack(to_lonlat.transform(x, y), axis=-1)
    across = points[: level[0].size].reshape(*level[0].shape, 2)
    down = points[level[0].size :].reshape(*plumb[0].shape, 2)
    edges = [across[:-1], down[:, 1:], across[1:, :, ::-1], down[:, :-1, ::-1]]
    return np.stack(edges, axis=2).reshape(-1, 4, EDGE_STEPS + 1, 2)
