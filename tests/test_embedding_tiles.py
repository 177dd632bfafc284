"""Tiles of embeddings that are found, and those that do not fit refused by name."""

import numpy as np
import pytest
import rasterio
from embedding_tiles import BANDS, CRS, TILES, YEAR, folder, write_tile

from neve.embeddings.tiles import find_tiles
from neve.errors import AskPerson

__all__ = ["folder"]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"values": np.zeros((110, 90, BANDS), np.uint8)}, "uint8"),
        ({"values": np.zeros((100, 90, BANDS), np.int8)}, "one version"),
        ({"values": np.zeros((110, 90, 4), np.int8)}, "4 bands"),
        ({"scales": np.ones((110, 90))}, "float32 scales"),
        ({"shift": 5}, "do not fit"),
    ],
)
def test_a_tile_that_does_not_fit_is_named(folder, broken, named):
    write_tile(folder, "grid_15.05_46.95", **broken)
    with pytest.raises(AskPerson, match=named) as raised:
        find_tiles(folder, YEAR, CRS)
    assert "grid_15" in str(raised.value)


def test_missing_and_damaged_files_are_named(folder):
    place = folder / "global_0.1_degree_representation" / str(YEAR) / "grid_15.05_46.95"
    values = place / "grid_15.05_46.95.npy"
    values.write_bytes(values.read_bytes()[:1000])
    with pytest.raises(AskPerson, match=r"grid_15.05_46.95.npy.*fetch it again"):
        find_tiles(folder, YEAR, CRS)
    (place / "grid_15.05_46.95_scales.npy").unlink()
    with pytest.raises(AskPerson, match=r"_scales.npy is not there"):
        find_tiles(folder, YEAR, CRS)
    (folder / "global_0.1_degree_tiff_all" / "grid_15.05_46.95.tiff").write_bytes(b"II*\0")
    with pytest.raises(AskPerson):
        find_tiles(folder, YEAR, CRS)
    with pytest.raises(AskPerson, match="another year"):
        find_tiles(folder, 1999, CRS)


def test_a_land_mask_that_names_a_further_file_is_none(folder):
    mask = folder / "global_0.1_degree_tiff_all" / "grid_15.05_46.95.tiff"
    inner = mask.rename(folder / "elsewhere.bin")
    with rasterio.open(inner) as image:
        place = ", ".join(map(str, image.transform.to_gdal()))
        text = (
            f'<VRTDataset rasterXSize="{image.width}" rasterYSize="{image.height}"><SRS>{CRS}</SRS>'
            f'<GeoTransform>{place}</GeoTransform><VRTRasterBand dataType="Byte" band="1">'
            f"<SimpleSource><SourceFilename>{inner}</SourceFilename></SimpleSource>"
            "</VRTRasterBand></VRTDataset>"
        )
    mask.write_text(text, "utf-8")
    with rasterio.open(mask) as followed:
        assert followed.read(1).any()
    with pytest.raises(AskPerson, match="no land mask"):
        find_tiles(folder, YEAR, CRS)


def test_tiles_of_other_zones_are_left_out(folder):
    TILES["grid_18.05_46.95"] = (10_000, 480_000, 20, 20)
    try:
        write_tile(folder, "grid_18.05_46.95", "EPSG:32634")
    finally:
        del TILES["grid_18.05_46.95"]
    assert [tile.name for tile in find_tiles(folder, YEAR, CRS)] == sorted(TILES)
