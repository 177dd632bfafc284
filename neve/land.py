"""Land: where there is any, the blocks of a region that touch it, and where a country lies.

Belongs here: getting Natural Earth's 10m land, and testing many lon/lat boxes against it at
once. Does not belong here: what a region asks for (``region``), and whether a pixel is land
(nobody asks; a block is kept or left out whole). Every approximation errs towards keeping.
"""

import json
import struct
import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from difflib import get_close_matches
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
from shapely.geometry.base import BaseGeometry

from neve.boxes import Floats, lonlat_boxes, turns
from neve.errors import AskPerson
from neve.grid import Block, Grid

Geometries = NDArray[np.object_]

# Degrees: over five steps of the fallback's coordinates (0.0036° × 0.0017°).
LAND_BUFFER = 0.02


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
    members = _world_atlas(folder, "land-10m.json", "land")
    version = json.loads((folder / "package.json").read_text())["version"]
    polygons = np.array([polygon for _, parts in members for polygon in parts])
    return Land(_clean(polygons), f"world-atlas {version} land-10m")


def _world_atlas(folder: Path, file: str, layer: str) -> list[tuple[str, list[BaseGeometry]]]:
    """(name, polygons) of each member of a layer."""
    try:
        topology = json.loads((folder / file).read_text("utf-8"))
        scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
        arcs = [np.cumsum(arc, axis=0) * scale + shift for arc in topology["arcs"]]
        found = []
        for member in topology["objects"][layer]["geometries"]:
            faces = member["arcs"] if member["type"] == "MultiPolygon" else [member["arcs"]]
            polygons = [_face([_ring(arcs, ids) for ids in face]) for face in faces]
            found.append((member.get("properties", {}).get("name", ""), polygons))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise AskPerson(
            f"{folder}: is not the npm package world-atlas with {file} ({error!r}); "
            "run `npm ci` again"
        ) from error
    return found


def country_box(folder: Path, name: str) -> tuple[float, float, float, float]:
    """West, south, east, north of all parts of a country; east < west where it crosses 180°.

    ``folder``: the npm package world-atlas; ``name`` as Natural Earth writes it, in any case.
    Raises AskPerson for another name.
    """
    members = dict(_world_atlas(folder, "countries-50m.json", "countries"))
    names = {known.casefold(): known for known in members}
    if name.casefold() not in names:
        alike = get_close_matches(name.casefold(), names, 5, 0.5)
        hint = f"is it {' or '.join(names[n] for n in alike)}?" if alike else "give a box instead"
        raise AskPerson(f"no country {name!r} in Natural Earth; {hint}")
    parts = [part for whole in members[names[name.casefold()]] for part in _polygons(whole)]
    west, south, east, north = antimeridian.bbox(shapely.MultiPolygon(parts))
    return west, south, east, north


def _polygons(geometry: BaseGeometry) -> list[shapely.Polygon]:
    return [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]


def _ring(arcs: list[Floats], ids: list[int]) -> Floats:
    """(n, 2) ring of arcs; ~i is arc i backwards, and each arc starts where the last ended."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ids]
    ring = np.concatenate([parts[0][:1], *(part[1:] for part in parts)])
    ring[:, 0] += turns(ring[:, 0])
    return ring[::-1]  # the package winds clockwise, antimeridian wants the outside left


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
        boxes = lonlat_boxes(grid, size)
        if land is not None:
            wanted &= touching(land, boxes)
        if area is not None:
            parts = _clean(np.array([area]))
            worlds = [shapely.transform(parts, partial(np.add, (k, 0))) for k in (-360, 0, 360)]
            wanted &= _meet(np.concatenate(worlds), boxes, 0.0)
    kept = (divmod(int(n), cols) for n in np.flatnonzero(wanted))
    first, left = grid.row // size, grid.col // size
    return [replace(grid.block(i, j, size), i=first + i, j=left + j) for i, j in kept]
