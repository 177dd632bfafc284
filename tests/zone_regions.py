"""Region files on the grid of a UTM zone: the tiny region whole and in parts, and one at 10 m."""

import shutil
from dataclasses import dataclass

import pytest
from conftest import REGION, Tiny

from neve.region import load

ZONE = REGION.replace("crs: EPSG:32633", "grid: {utm-zone: 33}") + "visual: {stretch: [0, 0.3]}\n"
WEST, EAST = "[12.04, 45.51, 12.068, 45.545]", "[12.068, 45.51, 12.10, 45.545]"
WHOLE = "[12.04, 45.51, 12.10, 45.545]"


@dataclass(frozen=True)
class Part(Tiny):
    """A region of its own file beside the others."""

    name: str

    @property
    def file(self):
        return self.folder / f"{self.name}.yaml"


@pytest.fixture
def parts(tmp_path, scenes):
    shutil.copytree(scenes, tmp_path / "scenes")

    def part(name, bbox, store="cube"):
        region = Part(tmp_path, name)
        text = ZONE.replace("name: tiny", f"name: {name}").replace(WHOLE, bbox)
        region.file.write_text(text.replace("store: cube", f"store: {store}"), "utf-8")
        return region

    return part


FULL = """\
name: {name}
area: {{bbox: {bbox}}}
grid: {{utm-zone: 33}}
resolution: 10
start: 2024-06
bands: [red, nir]
indices: []
"""


def full(tmp_path, name, bbox):
    file = tmp_path / f"{name}.yaml"
    file.write_text(FULL.format(name=name, bbox=bbox), "utf-8")
    return load(file)
