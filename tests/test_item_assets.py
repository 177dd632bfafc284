"""Bands, offsets and scales: one scene, however published, ends in equal reflectance."""

import pytest
from item_kinds import COG, PIXELS, STORED, item_of

from neve.errors import SceneRejected
from neve.scenes.bands import BANDS
from neve.scenes.items import scene_from_item

BANDS_HERE = [band for band in PIXELS if band != "scl"]


@pytest.mark.parametrize("kind", STORED)
def test_equal_reflectance_of_one_scene_in_every_catalogue(kind):
    scene = scene_from_item(item_of(kind), BANDS_HERE)
    for reflectance in (-120, 0, 1, 2500, 10_400):
        stored = reflectance + STORED[kind]
        shifted = {stored + scene.assets[band].shift for band in BANDS_HERE}
        assert shifted == {reflectance}
    assert scene.assets["scl"].shift == 0


@pytest.mark.parametrize("kind", STORED)
def test_every_band_is_found_at_its_native_resolution(kind):
    scene = scene_from_item(item_of(kind), BANDS_HERE)
    assert list(scene.assets) == [*BANDS_HERE, "scl"]
    for band, pixel in PIXELS.items():
        asset = scene.assets[band]
        assert asset.transform == (pixel, 0, 600000, 0, -pixel, 5000040)
        assert asset.shape == (109800 // pixel, 109800 // pixel)


def test_a_cog_is_preferred_to_the_jp2_beside_it():
    scene = scene_from_item(item_of("v1_applied"), ["red"])
    assert scene.assets["red"].href == "https://data.example.com/scene/B04.tif"
    assert scene.assets["scl"].href == "https://data.example.com/scene/SCL.tif"


def test_the_flag_of_the_cogs_does_not_speak_of_the_jp2():
    item = item_of("v1_applied")
    del item["assets"]["red"]
    scene = scene_from_item(item, ["red", "nir"])
    assert scene.assets["red"].href.endswith(".jp2")
    assert scene.assets["red"].shift == -1000
    assert scene.assets["nir"].shift == 0


@pytest.mark.parametrize(
    ("kind", "declared", "expected"), [("v1_not_applied", 0, -1000), ("v1_0214", -0.1, 0)]
)
def test_a_flag_goes_before_what_the_raster_bands_say(kind, declared, expected):
    item = item_of(kind)
    item["assets"]["red"]["raster:bands"][0]["offset"] = declared
    assert scene_from_item(item, ["red"]).assets["red"].shift == expected


def test_sizes_and_checksums_are_taken_over():
    asset = scene_from_item(item_of("c1"), ["red"]).assets["red"]
    assert (asset.size, asset.checksum) == (1234, "1220" + "ab" * 32)
    assert scene_from_item(item_of("pc"), ["red"]).assets["red"].checksum is None


def test_a_band_is_found_by_common_name_and_by_band_name_whatever_its_key():
    item = item_of("c1")
    item["assets"]["image-1"] = item["assets"].pop("red")
    item["assets"]["image-2"] = item["assets"].pop("rededge1")  # common name rededge: of three
    scene = scene_from_item(item, ["red", "rededge1"])
    assert scene.assets["red"].href.endswith("B04.tif")
    assert scene.assets["rededge1"].href.endswith("B05.tif")


def test_pictures_of_several_bands_are_not_taken_for_one():
    item = item_of("c1")
    red = item["assets"].pop("red")
    item["assets"]["visual"] = {**red, "eo:bands": [{"common_name": "red"}, {"name": "B03"}]}
    item["assets"]["thumbnail"] = {**red, "type": "image/jpeg"}
    with pytest.raises(SceneRejected, match="no COG or JP2 of 'red'"):
        scene_from_item(item, ["red"])


def test_a_key_that_contradicts_its_band_is_rejected():
    item = item_of("c1")
    item["assets"]["red"]["eo:bands"] = [{"name": "B03", "common_name": "green"}]
    with pytest.raises(SceneRejected, match=r"assets\.red.*green.*red.*disagree"):
        scene_from_item(item, ["red"])


def _set_raster(**values):
    def change(item):
        item["assets"]["red"]["raster:bands"][0].update(values)

    return change


def _set_property(name, value):
    return lambda item: item["properties"].__setitem__(name, value)


def _baseline_gone(item):
    del item["properties"]["s2:processing_baseline"]
    del item["properties"]["s2:product_uri"]


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("c1", _set_raster(scale=0.001), "scale is 0.001"),
        ("c1", _set_raster(scale=1), "scale is 1"),
        ("c1", _set_raster(offset=-0.2), "offset is -0.2"),
        ("c1", _set_raster(offset=-1000), "offset is -1000"),
        ("c1", _set_raster(offset="-0.1"), "offset is '-0.1'"),
        ("c1", _set_raster(nodata=65535), "nodata is 65535"),
        ("c1", _set_property("s2:processing_baseline", "02.14"), "baseline 02.14 has no offset"),
        ("c1", _set_property("s2:processing_baseline", 4.0), "s2:processing_baseline is 4.0"),
        ("pc", _set_property("s2:processing_baseline", "99.99"), "baseline is '99.99'"),
        ("pc", _baseline_gone, "baseline is ''"),
        ("v1_applied", _set_property("earthsearch:boa_offset_applied", "yes"), "'yes'"),
        ("v1_applied", _set_property("sentinel:boa_offset_applied", False), "True, False"),
    ],
)
def test_what_cannot_be_right_is_rejected_by_name(kind, change, words):
    item = item_of(kind)
    change(item)
    with pytest.raises(SceneRejected) as caught:
        scene_from_item(item, ["red"])
    assert str(caught.value).startswith(f"item {kind}-item: ")
    assert words in str(caught.value)


def test_an_explicit_offset_serves_where_no_baseline_is_known():
    item = item_of("c1")
    _baseline_gone(item)
    scene = scene_from_item(item, ["red"])
    assert (scene.assets["red"].shift, scene.baseline) == (-1000, "")


def test_an_unknown_media_type_falls_out_and_an_absent_one_is_read_from_the_name():
    item = item_of("c1")
    del item["assets"]["red"]["type"]
    assert scene_from_item(item, ["red"]).assets["red"].shift == -1000
    item["assets"]["red"]["type"] = "application/vnd.gdal.vrt"
    with pytest.raises(SceneRejected, match="no COG or JP2 of 'red'"):
        scene_from_item(item, ["red"])


def test_bands_name_every_image_of_sentinel_2():
    assert len(BANDS) == 13
    assert {pixel for _, pixel in BANDS.values()} == {10, 20, 60}
    assert COG.startswith("image/tiff")
