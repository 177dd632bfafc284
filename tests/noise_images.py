"""Images of noise, and their pixels as neve reads them, from near or afar."""

from pathlib import Path

import numpy as np
from images import UTM33, north_up

from neve.reading.image import open_image, read_window
from neve.reading.ranges import Reads
from neve.scenes.values import Asset

READS = Reads(attempts=3, pause=0.01, timeout=2, hosts=("127.0.0.1",))
PLACE = north_up(500_000, 5_000_000, 10)
JP2 = {
    "driver": "JP2OpenJPEG", "compress": None, "predictor": None, "nodata": None,
    "QUALITY": 100, "REVERSIBLE": "YES",
}  # fmt: skip


def noise(shape: tuple[int, int], dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(5).integers(1, 250 if dtype == "u1" else 9000, shape).astype(dtype)


def native(path: Path | str, shape: tuple[int, int], reads: Reads = READS) -> np.ndarray:
    image = open_image(Asset(str(path)), UTM33, reads)
    pixels = read_window(image, (0, 0), shape)
    image.close()
    return pixels
