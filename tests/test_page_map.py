"""What the page tells of the map: a pixel, two states side by side, chunks."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

import numcodecs
import numpy as np
import pytest
import shapely
from page_browser import colours, unlike
from page_visitor import POINT, at, browser, focused, pytestmark, store, url, visitor

from neve.opened import open as open_tree

__all__ = ["at", "browser", "pytestmark", "store", "url", "visitor"]


@pytest.fixture(scope="module")
def tree(store):
    return open_tree(store).load()


def passport(visitor):
    rows = visitor.window.locator("#passport dl > *").all_inner_texts()
    return dict(zip(rows[::2], rows[1::2], strict=True))


def copied(visitor, label):
    """What a button of the passport puts on the clipboard."""
    visitor.window.click(f"#passport button >> text={label}")
    return visitor.window.evaluate("() => navigator.clipboard.readText()")


def left_of(window, selector):
    """A place near the left end of an element."""
    box = window.locator(selector).bounding_box()
    return box["x"] + 8, box["y"] + box["height"] / 2


def test_the_passport_of_a_pixel(at, tree, store, url, tmp_path):
    visitor = at("v=NDVI&month=2024-07")
    visitor.window.mouse.click(640, 340)
    visitor.settle()
    visitor.window.wait_for_selector("#plot canvas")
    told = passport(visitor)
    level, row, col = told["level, row, column"].split(", ")
    here = tree[level].to_dataset().isel(y=int(row), x=int(col))
    value, count = float(here["NDVI"][3]), int(here["count"][3])
    reading = visitor.text(".reading")
    assert f"{value:.3f}".replace("-", "−") in reading
    assert f"n = {count} clear" in reading
    assert told["run"] == "test"
    assert f"{int(row) // 64}-{int(col) // 64}, {int(row) // 32}/{int(col) // 32}" in told.values()
    visitor.window.mouse.move(*left_of(visitor.window, "#plot .u-over"))
    visitor.window.mouse.down()
    visitor.window.mouse.up()
    visitor.settle()
    assert visitor.state["month"] == "2024-04"
    visitor.show(f"v=NDVI&month=2024-07&low=0&px={visitor.state['px']}")
    visitor.window.wait_for_function("() => document.body.textContent.includes('NDVI, July')")
    visitor.window.click("summary >> text=Table")
    cells = visitor.window.locator("#passport tbody tr").all_inner_texts()
    assert [int(line.split()[-1]) for line in cells] == here["count"].values.tolist()
    visitor.window.click("summary >> text=scene")
    assert "S2B_33TTL_202407" in visitor.text("#passport details >> nth=1")
    with visitor.window.expect_download() as download:
        visitor.window.click("text=Save as CSV")
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert lines[0] == "month,NDVI,observations"
    assert [float(line.split(",")[1] or "nan") for line in lines[1:]] == pytest.approx(
        here["NDVI"].values.tolist(), abs=1e-6, nan_ok=True
    )
    *statements, expression = copied(visitor, "xarray").replace("<store>", store).splitlines()
    names: dict[str, object] = {}
    exec("\n".join(statements), names)
    assert float(eval(expression, names)["NDVI"]) == pytest.approx(value)
    with urlopen(re.search("'(.+)'", copied(visitor, "curl"))[1]) as answer:
        assert json.load(answer)["value"] == pytest.approx(value)
    assert copied(visitor, "permalink") == visitor.window.url
    visitor.show(f"v=SAVI&month=2024-07&px={visitor.state['px']}")
    visitor.window.wait_for_function("() => document.body.textContent.includes('SAVI, July')")
    *statements, expression = copied(visitor, "xarray").replace("<store>", store).splitlines()
    exec("\n".join(statements), names)
    assert float(eval(expression, names)["SAVI"]) == pytest.approx(float(here["SAVI"][3]))
    visitor.click("#close-passport")
    assert not visitor.window.is_visible("#passport")
    assert "px" not in visitor.state


def test_few_observations_are_hatched_and_said(at, tree):
    visitor = at("v=NDVI&month=2024-04")
    plain = visitor.picture()
    counts = tree["1x"]["count"][0].values
    visitor.window.fill("#low", "25")
    visitor.blur()
    visitor.settle()
    all_hatched = visitor.picture()
    visitor.show("v=NDVI&month=2024-04&low=1")
    assert unlike(visitor.picture(), plain) < 1  # one observation is not fewer than one
    assert counts.max() < 25
    assert unlike(all_hatched, plain) > 3
    visitor.show(f"v=NDVI&month=2024-04&low=25&px={POINT[0]},{POINT[1]}")
    visitor.window.wait_for_selector(".warning")


def test_swipe_between_two_states(at):
    visitor = at("v=NDVI&month=2024-07")
    alone = visitor.picture(x=700, width=200)
    visitor.click("#tool-swipe")
    visitor.window.wait_for_timeout(300)
    visitor.window.wait_for_function("() => document.querySelector('#other-map canvas')")
    assert visitor.text("#label-a") == "NDVI"
    assert visitor.text("#label-b") == "true colour"
    for preset, key in (
        ("month before", "b.month"),
        ("commit before", "b.at"),
        ("true colour", "b.v"),
    ):
        visitor.click(f"#presets >> text={preset}")
        assert key in visitor.state
        assert focused(visitor) == preset
    visitor.window.wait_for_timeout(1500)
    assert unlike(visitor.picture(x=700, width=200), alone) > 5
    visitor.window.focus("#split")
    visitor.press("ArrowRight")
    assert visitor.state["split"] == "51"
    visitor.window.mouse.move(653, 100)
    visitor.window.mouse.down()
    visitor.window.mouse.move(1000, 100, steps=3)
    visitor.window.mouse.up()
    visitor.settle()
    assert unlike(visitor.picture(x=700, width=200), alone) < 1
    for key, other in (("month", "2024-05"), ("v", "EVI"), ("at", 2)):
        select = f"#b-{key}"
        visitor.window.select_option(select, **{"index" if key == "at" else "value": other})
        visitor.settle()
        assert visitor.state[f"b.{key}"] == visitor.window.input_value(select)
    assert visitor.text("#label-b").startswith("EVI · May 2024 · ")
    visitor.click("#tool-swipe")
    assert "mode" not in visitor.state


def test_a_difference_says_where_it_cannot_be_told(at):
    visitor = at("v=NDVI&month=2024-07&mode=delta&b.month=2024-05&low=0&lo=-1&hi=-0.95")
    visitor.window.wait_for_timeout(600)
    steps = np.abs(np.diff(visitor.picture().astype(int), axis=1)).mean()
    assert steps > 3  # chequered, not one plain "no change"
    visitor.show("v=NDVI&month=2024-07&mode=delta&b.month=2024-05&low=0&lo=-1&hi=0")
    visitor.window.wait_for_timeout(600)
    assert colours(visitor.picture()) > 50  # most values are above the limits, and differ


def test_x_ray(at, tree):
    visitor = at("v=NDVI&month=2024-06")
    plain = visitor.picture()
    visitor.press("x")
    visitor.window.wait_for_function("() => document.querySelector('#traffic td')?.textContent > 0")
    visitor.window.wait_for_timeout(600)
    assert unlike(visitor.picture(), plain) > 2
    statuses = [
        int(line.split()[-1])
        for line in visitor.text("#statuses").splitlines()
        if line.split()[-1].isdigit()
    ]
    assert statuses == np.bincount(tree["blocks/status"].values[2].ravel(), minlength=5).tolist()
    rows = dict(line.split("\t") for line in visitor.text("#traffic tbody").splitlines())
    assert rows["level"] in ("1x", "2x")
    assert rows["server time, median"].endswith(" ms")
    assert float(rows["bytes"].split()[0]) > 1


def test_gpu_mode_shows_the_same_and_needs_no_tiles(at):
    visitor = at("v=NDVI&month=2024-07&cm=viridis")
    tiles = visitor.picture()
    visitor.click("#tool-gpu")
    visitor.window.wait_for_timeout(2500)
    visitor.settle()
    assert unlike(visitor.picture(), tiles) < 12
    asked = len(visitor.asked)
    visitor.window.fill("#hi", "0.4")
    visitor.blur()
    visitor.settle()
    assert unlike(visitor.picture(), tiles) > 12
    assert [u for u in visitor.asked[asked:] if "/tiles/" in u] == []


def test_codecs_unpack_what_numcodecs_packs(visitor):
    rng = np.random.default_rng(3)
    cases = []
    for dtype in ("uint8", "int16", "float32", "float64"):
        for shape, shuffle in ((37, 1), (4096, 2), (70001, 2), (40000, 0)):
            values = (rng.normal(size=shape).cumsum() * 5).astype(dtype)
            codec = numcodecs.Blosc("zstd", 3, shuffle, blocksize=4096 if shape > 5000 else 0)
            cases.append((bytes(codec.encode(values)), values.tobytes()))
    same = visitor.window.evaluate(
        """async (cases) => {
          const { unblosc } = await import("/page/codecs.js");
          const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
          return cases.map(([packed, plain]) => {
            const [found, wanted] = [unblosc(bytes(packed)), bytes(plain)];
            return found.length === wanted.length && found.every((b, k) => b === wanted[k]);
          });
        }""",
        [[packed.hex(), plain.hex()] for packed, plain in cases],
    )
    assert same == [True] * len(cases)


def test_land_is_whole(visitor):
    text = visitor.window.evaluate(
        """async () => {
          const { land } = await import("/page/land.js");
          const answer = await fetch("/vendor/world-atlas/land-50m.json");
          return JSON.stringify(land(await answer.json()));
        }"""
    )
    polygons = json.loads(text)["geometry"]["coordinates"]
    for ring in (ring for polygon in polygons for ring in polygon):
        steps = np.abs(np.diff(np.array(ring)[:, 0]))
        assert steps[np.array(ring)[1:, 1] > -89].max(initial=0) < 180
    shapes = [shapely.make_valid(shapely.Polygon(p[0], p[1:])) for p in polygons]
    for place, dry in (
        ((15, 50), True),
        ((178, -17.8), True),
        ((0, -89), True),
        ((-40, 30), False),
        ((185, 66.5), True),
    ):
        assert any(shape.covers(shapely.Point(place)) for shape in shapes) is dry, place
