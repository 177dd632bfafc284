"""One and the same granule as each catalogue publishes it; small, hand-written after real items."""

import copy
from typing import Any

Item = dict[str, Any]

TILE = [600000, 5000040]  # left and top of the image
PLACE = [[16.3, 44.2], [17.6, 44.2], [17.6, 45.1], [16.3, 45.1], [16.3, 44.2]]
PIXELS = {"blue": 10, "red": 10, "nir": 10, "rededge1": 20, "coastal": 60, "scl": 20}
ESA = {"blue": "B02", "red": "B04", "nir": "B08", "rededge1": "B05", "coastal": "B01", "scl": "SCL"}
COMMON = {"rededge1": "rededge"}
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
HOST = "https://data.example.com/scene"

# kind → what its files hold beside the reflectance × 10000: 0, or the offset not yet applied
STORED = {
    "v0_old": 0,
    "v0_unflagged_0400": 1000,
    "v0_applied": 0,
    "v1_0214": 0,
    "v1_applied": 0,
    "v1_not_applied": 1000,
    "c1": 1000,
    "pc_old": 0,
    "pc": 1000,
    "cdse": 1000,
}


def item_of(kind: str) -> Item:
    """The granule as ``kind`` (a key of STORED) has it."""
    family = kind.split("_")[0]
    baseline = {"v0_old": "02.14", "v1_0214": "02.14", "pc_old": "02.12"}.get(kind, "04.00")
    properties = {
        "datetime": "2022-03-15T09:58:11.662000Z",
        "updated": "2022-03-16T00:00:00Z",
        **_identity(family, baseline),
    }
    flag = {"applied": True, "0214": False, "not_applied": False}.get(kind.partition("_")[2])
    if flag is not None:
        owner = "sentinel" if family == "v0" else "earthsearch"
        properties[f"{owner}:boa_offset_applied"] = flag
    maker = {"v0": _v0, "v1": _v1, "c1": _c1, "pc": _pc, "cdse": _cdse}[family]
    assets: dict[str, Any] = {}
    for band in PIXELS:
        assets |= maker(band, baseline)
    return copy.deepcopy(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"{kind}-item",
            "collection": "sentinel-2-l2a",
            "geometry": {"type": "Polygon", "coordinates": [PLACE]},
            "properties": properties,
            "assets": assets,
            "links": [],
        }
    )


def _identity(family: str, baseline: str) -> Item:
    digits = baseline.replace(".", "")
    product = f"S2A_MSIL2A_20220315T095031_N{digits}_R079_T33TXL_20220315T155057"
    take = f"GS2A_20220315T095031_035147_N{baseline}"
    strip = f"S2A_OPER_MSI_L2A_DS_2APS_20220315T155057_S20220315T095630_N{baseline}"
    if family == "v0":
        return {"proj:epsg": 32633, "sentinel:product_id": product}
    if family == "cdse":
        return {
            "processing:version": baseline,
            "processing:datetime": "2022-03-15T15:50:57Z",
            "grid:code": "MGRS-33TXL",
            "eopf:datatake_id": take,
            "eopf:datastrip_id": strip,
        }
    return {
        "proj:epsg": 32633,
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"{product}.SAFE",
        "s2:generation_time": "2022-03-15T15:50:57.000000Z",
        "s2:datatake_id": take,
        "s2:datastrip_id": strip,
    }


def _image(pixel: int) -> Item:
    side = 109800 // pixel
    transform = [pixel, 0, TILE[0], 0, -pixel, TILE[1]]
    return {"proj:shape": [side, side], "proj:transform": transform, "gsd": pixel}


def _raster(band: str, offset: float) -> Item:
    if band == "scl":
        return {"raster:bands": [{"nodata": 0, "data_type": "uint8"}]}
    return {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": offset}]}


def _described(band: str, name: str) -> Item:
    if band == "scl":
        return {}
    return {"eo:bands": [{"name": name, "common_name": COMMON.get(band, band)}]}


def _v0(band: str, baseline: str) -> Item:
    image = _image(PIXELS[band])
    image["proj:transform"] = [*image["proj:transform"], 0, 0, 1]
    return {ESA[band]: {"href": f"{HOST}/{ESA[band]}.tif", "type": COG, **image}}


def _v1(band: str, baseline: str) -> Item:
    rest = _image(PIXELS[band]) | _described(band, band)
    rest |= _raster(band, 0 if baseline < "04.00" else -0.1)
    jp2 = {"href": f"s3://bucket/{ESA[band]}.jp2", "type": "image/jp2"}
    cog = {"href": f"{HOST}/{ESA[band]}.tif", "type": COG}
    return {f"{band}-jp2": jp2 | rest, band: cog | rest}


def _c1(band: str, baseline: str) -> Item:
    rest = _image(PIXELS[band]) | _described(band, ESA[band]) | _raster(band, -0.1)
    sums = {"file:size": 1234, "file:checksum": "1220" + "ab" * 32}
    return {band: {"href": f"{HOST}/{ESA[band]}.tif", "type": COG, **sums, **rest}}


def _pc(band: str, baseline: str) -> Item:
    rest = _image(PIXELS[band]) | _described(band, ESA[band])
    return {ESA[band]: {"href": f"{HOST}/{ESA[band]}.tif?sig=abc", "type": COG, **rest}}


def _cdse(band: str, baseline: str) -> Item:
    made = {}
    for pixel in (10, 20, 60) if PIXELS[band] == 10 else (20, 60):
        name = f"{ESA[band]}_{pixel}m"
        rest = _image(pixel) | {"proj:code": "EPSG:32633", "nodata": 0}
        if band != "scl":
            described = {"name": ESA[band], "eo:common_name": COMMON.get(band, band)}
            rest |= {"bands": [described], "raster:scale": 0.0001, "raster:offset": -0.1}
        made[name] = {"href": f"s3://eodata/{name}.jp2", "type": "image/jp2", **rest}
    return made
