"""Damaged COGs: with a checksum none goes unseen; without one, the share that is caught."""

import hashlib
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from campaign import campaign
from flaky_server import flaky
from images import UTM33, scene

from neve.compositing.composite import Composite, compose
from neve.compositing.recipe import Recipe
from neve.errors import BlockFailed
from neve.grid import Grid
from neve.reading.ranges import Reads

GRID = Grid(UTM33, 10, 500_000, 5_000_000, 128, 128)
RECIPE = Recipe(("red",))
CAREFUL = Reads(attempts=2, pause=0.001, verify="all", hosts=("127.0.0.1",))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    values = np.random.default_rng(7).integers(1, 9000, (128, 128)).astype(np.uint16)
    classes = np.full((64, 64), 4, np.uint8)
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    planes = {"red": (values, place), "scl": (classes, place @ Affine.scale(2))}
    return scene(tmp_path_factory.mktemp("sound"), "s1", planes)


def outcome(
    damaged: bytes, checksum: str | None, sound, folder: Path, calm: Composite, url: str = ""
) -> str:
    # A name of its own: images and checksums are remembered by path within a process.
    path = folder / f"{hashlib.sha256(damaged).hexdigest()}.tif"
    path.write_bytes(damaged)
    href = f"{url}/{path.name}" if url else str(path)
    asset = replace(sound.assets["red"], href=href, checksum=checksum)
    scenes = [replace(sound, assets=sound.assets | {"red": asset})]
    try:
        found = compose(GRID, scenes, RECIPE, CAREFUL)
    except BlockFailed:
        return "caught"
    finally:
        path.unlink()
    same = np.array_equal(found.bands["red"], calm.bands["red"])
    return "harmless" if same else "UNDETECTED"


# Only in tests are warnings errors, and a file without a place must be refused by more than that.
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("told", ["with", "without", "afar"])
def test_damage_is_caught(sound, tmp_path, told: str) -> None:
    """``afar``: over HTTP, with a checksum, where the region has all of them checked."""
    data = Path(sound.assets["red"].href).read_bytes()
    checksum = "1220" + hashlib.sha256(data).hexdigest() if told != "without" else None
    calm = compose(GRID, [sound], RECIPE)

    def flip(chance: random.Random) -> str:
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with flaky(tmp_path) if told == "afar" else nullcontext() as server:
            url = server.url if server else ""
            return outcome(bytes(damaged), checksum, sound, tmp_path, calm, url)

    seen = campaign(f"bitflips-{told}-checksum", 40, 200, flip)
    if told == "without":
        assert seen["caught"] >= 0.9 * seen.total(), seen
    else:
        assert seen["UNDETECTED"] == 0, seen
    for place in (0.01, 0.25, 0.5, 0.75, 0.99):
        short = data[: int(place * len(data))]
        assert outcome(short, checksum, sound, tmp_path, calm) == "caught", place
