"""What a STAC item of a synthetic scene says: the shape of Earth Search's ``sentinel-2-l2a`` v1.

Belongs here: the values that name a tile and a day, and the item made of them and of the files
written. Does not belong here: pixels (``scenes``) and the catalogue (``stac_api``).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from neve.demo.footprints import cut_at_antimeridian
from neve.demo.plan import DayPlan, TilePlan

Item = dict[str, Any]

COLLECTION = "sentinel-2-l2a"
OFFSET_SINCE = "04.00"  # baselines from here on store DN + 1000
STAC_EXTENSION = "https://stac-extensions.github.io/"
EXTENSIONS = (
    *("raster/v1.1.0", "mgrs/v1.0.0", "grid/v1.0.0", "projection/v1.1.0", "eo/v1.1.0"),
    *("view/v1.0.0", "processing/v1.1.0", "file/v2.1.0"),
)


class BandFile(NamedTuple):
    """An asset's file: name, gsd of the real band, how much larger its pixels are, wavelength."""

    name: str
    gsd: int
    ratio: int
    common_name: str
    wavelength: float
    width: float


BAND_FILES = {
    "coastal": BandFile("B01.tif", 60, 6, "coastal", 0.443, 0.027),
    "blue": BandFile("B02.tif", 10, 1, "blue", 0.49, 0.098),
    "green": BandFile("B03.tif", 10, 1, "green", 0.56, 0.045),
    "red": BandFile("B04.tif", 10, 1, "red", 0.665, 0.038),
    "rededge1": BandFile("B05.tif", 20, 2, "rededge", 0.704, 0.019),
    "rededge2": BandFile("B06.tif", 20, 2, "rededge", 0.74, 0.018),
    "rededge3": BandFile("B07.tif", 20, 2, "rededge", 0.783, 0.028),
    "nir": BandFile("B08.tif", 10, 1, "nir", 0.842, 0.145),
    "nir08": BandFile("B8A.tif", 20, 2, "nir08", 0.865, 0.033),
    "nir09": BandFile("B09.tif", 60, 6, "nir09", 0.945, 0.026),
    "swir16": BandFile("B11.tif", 20, 2, "swir16", 1.61, 0.143),
    "swir22": BandFile("B12.tif", 20, 2, "swir22", 2.19, 0.242),
    "scl": BandFile("SCL.tif", 20, 2, "scl", 0, 0),
}


@dataclass(frozen=True)
class Written:
    """The files of a scene: folder, (left, bottom, right, top) in UTM, shape of each image."""

    folder: Path
    bounds: tuple[float, float, float, float]
    shapes: dict[str, tuple[int, ...]]


def make_item(
    tile: TilePlan,
    day: DayPlan,
    written: Written,
    footprint: BaseGeometry,
    scl: NDArray[np.uint8],
) -> Item:
    """The STAC item; sizes and checksums are those of the files, percentages those of ``scl``."""
    west, south, east, north = footprint.bounds
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": day.scene_id(tile),
        "properties": {**_identity(tile, day), **_statistics(scl)},
        "geometry": mapping(cut_at_antimeridian(footprint)),
        "bbox": [_wrap(west), south, _wrap(east), north],
        "links": [],
        "assets": {band: _asset(band, day, written) for band in written.shapes},
        "stac_extensions": [f"{STAC_EXTENSION}{name}/schema.json" for name in EXTENSIONS],
        "collection": COLLECTION,
    }


def _wrap(lon: float) -> float:
    return lon - 360 if lon > 180 else lon


def _identity(tile: TilePlan, day: DayPlan) -> Item:
    craft, date = f"S2{day.platform[-1].upper()}", day.date.replace("-", "")
    sensed, made = f"{date}T{day.time.replace(':', '')}", f"{date}T{15 + day.sequence:02d}4207"
    baseline = f"N{day.baseline}"
    orbit, number = f"{43_000 + int(date[4:]):06d}", baseline.replace(".", "")
    track = f"R{day.orbit:03d}"
    published = f"{day.date}T{20 + day.sequence:02d}:11:57.067Z"
    return {
        "created": published,
        "updated": published,
        "datetime": f"{day.date}T{day.time}.512000Z",
        "platform": day.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "proj:epsg": tile.epsg,
        "mgrs:utm_zone": int(tile.mgrs[:-3]),
        "mgrs:latitude_band": tile.mgrs[-3],
        "mgrs:grid_square": tile.mgrs[-2:],
        "grid:code": f"MGRS-{tile.mgrs}",
        "view:sun_azimuth": 140.9,
        "view:sun_elevation": 63.2,
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": day.baseline,
        "s2:product_uri": f"{craft}_MSIL2A_{sensed}_{number}_{track}_T{tile.mgrs}_{made}.SAFE",
        "s2:generation_time": f"{day.date}T{15 + day.sequence:02d}:42:07.000000Z",
        "s2:datatake_id": f"G{craft}_{sensed}_{orbit}_{baseline}",
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": f"{craft}_OPER_MSI_L2A_DS_2APS_{made}_S{sensed}_{baseline}",
        "s2:granule_id": f"{craft}_OPER_MSI_L2A_TL_2APS_{made}_A{orbit}_T{tile.mgrs}_{baseline}",
        "s2:sequence": str(day.sequence),
        "earthsearch:boa_offset_applied": day.baseline >= OFFSET_SINCE and day.shift == 0,
        "processing:software": {"neve.demo": "1"},
    }


def _statistics(scl: NDArray[np.uint8]) -> Item:
    seen = max(int(np.count_nonzero(scl)), 1)

    def percent(*classes: int) -> float:
        return round(100 * float(np.isin(scl, classes).sum()) / seen, 6)

    return {
        "eo:cloud_cover": percent(8, 9, 10),
        "s2:nodata_pixel_percentage": round(100 * float((scl == 0).mean()), 6),
        "s2:cloud_shadow_percentage": percent(3),
        "s2:vegetation_percentage": percent(4),
        "s2:not_vegetated_percentage": percent(5),
        "s2:water_percentage": percent(6),
        "s2:medium_proba_clouds_percentage": percent(8),
        "s2:high_proba_clouds_percentage": percent(9),
        "s2:thin_cirrus_percentage": percent(10),
    }


def _asset(band: str, day: DayPlan, written: Written) -> Item:
    file, (height, width) = BAND_FILES[band], written.shapes[band]
    content = (written.folder / file.name).read_bytes()
    left, _, right, top = written.bounds
    resolution = (right - left) / width
    asset: Item = {
        "href": f"./{file.name}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "gsd": file.gsd,
        "proj:shape": [height, width],
        "proj:transform": [resolution, 0.0, left, 0.0, -resolution, top],
        "roles": ["data", "reflectance"],
        "file:size": len(content),
        "file:checksum": "1220" + hashlib.sha256(content).hexdigest(),
    }
    if band == "scl":
        pixel = {"nodata": 0, "data_type": "uint8", "spatial_resolution": resolution}
        return asset | {"raster:bands": [pixel]}
    # As Earth Search v1 has it: -0.1 for every new baseline, also where it is applied already.
    offset = -0.1 if day.baseline >= OFFSET_SINCE else 0
    pixel = {"nodata": 0, "data_type": "uint16", "bits_per_sample": 15}
    pixel |= {"spatial_resolution": resolution, "scale": 0.0001, "offset": offset}
    name = {"name": band, "common_name": file.common_name}
    wave = {"center_wavelength": file.wavelength, "full_width_half_max": file.width}
    return asset | {"eo:bands": [name | wave], "raster:bands": [pixel]}
