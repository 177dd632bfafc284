"""The map page in a real browser against a real server: every part of it used, offline."""

import gzip
import io
import itertools
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import icechunk as ic
import matplotlib as mpl
import numcodecs
import numpy as np
import pytest
import shapely
from page_browser import (
    CHROMIUM,
    COMING,
    FLAGS,
    build,
    build_cube,
    colours,
    pixels,
    served,
    unlike,
)
from PIL import Image

from neve import page as page_room
from neve.build import staging
from neve.build.engine import Inline
from neve.opened import open as open_tree

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
    pytest.mark.skipif(
        not (page_room.vendor() / "maplibre-gl").is_dir(), reason="npm ci has not run"
    ),
]
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
POINT = (12.11, 45.465)
PAGE_TEXT = PICTURES.parent / "page.md"
BUDGET = 650  # KB
# The part of a 1280 × 800 window that no panel covers.
CLEAR = {"x": 380, "y": 40, "width": 520, "height": 600}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_cube(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def tree(store):
    return open_tree(store).load()


@pytest.fixture(scope="module")
def url(store):
    with served(store) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=["--headless"]
        )
        yield chromium
        chromium.close()


class Visitor:
    """A window on the page, and all that went wrong in it or over the wire."""

    def __init__(self, browser, url, width=1280, height=800, **options):
        self.url = url
        self.window = browser.new_page(
            viewport={"width": width, "height": height},
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        self.window.set_default_timeout(60_000)
        self.asked, self.wrong = [], []
        self.window.on("request", lambda request: self.asked.append(request.url))
        self.window.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.window.on("console", self._heard)

    def _heard(self, message):
        # An empty chunk of a cube is a 404, as Zarr has it; the browser tells of it by itself.
        if message.type == "error" and "/zarr/" not in message.location.get("url", ""):
            self.wrong.append(message.text)

    def open(self, state="low=0"):
        self.window.goto(f"{self.url}#{state}")
        self.window.wait_for_selector("body[data-ready]")
        self.settle()
        return self

    def show(self, state):
        self.window.evaluate("state => { location.hash = state }", state)
        self.settle()

    def settle(self):
        """Wait until the page has drawn what its state says."""
        self.window.wait_for_timeout(50)
        self.window.wait_for_selector("body[data-ready]:not([data-drawing])")
        self.window.evaluate("() => neve.chart.idle()")

    @property
    def state(self):
        pairs = parse_qs(urlsplit(self.window.url).fragment)
        return {key: values[0] for key, values in pairs.items()}

    def picture(self, **clip):
        return pixels(self.window.screenshot(clip=CLEAR | clip))

    def text(self, selector):
        return self.window.inner_text(selector)

    def click(self, selector):
        self.window.click(selector)
        self.settle()

    def press(self, key):
        self.window.keyboard.press(key)
        self.settle()

    def blur(self):
        self.window.evaluate("() => document.activeElement.blur()")


@pytest.fixture(scope="module")
def visitor(browser, url):
    return Visitor(browser, url).open()


@pytest.fixture
def at(visitor):
    """Show a state in the one window, with all that may be left over from other tests closed."""

    def show(state=""):
        visitor.wrong.clear()
        visitor.window.keyboard.press("Escape")
        visitor.blur()
        visitor.show(f"low=0&{state}")
        return visitor

    yield show
    assert visitor.wrong == []


def test_opens_offline_within_its_budget(browser, url, request):
    """With ``-s`` it prints bytes and times; docs/page.md tells the bytes."""
    visitor = Visitor(browser, url)
    bodies = {}
    visitor.window.on("response", lambda answer: bodies.setdefault(answer.url, answer))
    visitor.open()
    visitor.window.wait_for_function("() => performance.getEntriesByName('idle').length")
    idle, network = visitor.window.evaluate(
        """() => [
          performance.getEntriesByName("idle")[0].startTime,
          Math.max(...performance.getEntriesByType("resource").map((e) => e.responseEnd)),
        ]"""
    )
    assert {urlsplit(address).netloc for address in visitor.asked} <= {urlsplit(url).netloc, ""}
    own = [a for u, a in bodies.items() if re.match(r"/(page/|vendor/|$)", urlsplit(u).path)]
    size = sum(len(gzip.compress(answer.body(), 9)) for answer in own) / 1024
    request.config.get_terminal_writer().line(
        f"\n{len(own)} files, {size:.0f} KB gzipped, {len(bodies) - len(own)} tiles and facts; "
        f"network idle after {network / 1000:.1f} s, map after {idle / 1000:.1f} s"
    )
    told = re.search(r"Loaded before tiles: (\d+) KB", PAGE_TEXT.read_text("utf-8"))
    assert told
    assert 300 < size <= BUDGET
    assert size == pytest.approx(int(told[1]), abs=3)
    assert visitor.wrong == []
    assert visitor.text("h1") == "neve lagoon"
    assert visitor.window.title() == "lagoon · neve"
    assert colours(visitor.picture()) > 500
    visitor.window.close()


def test_the_address_is_the_whole_state(at):
    visitor = at("v=NDVI&month=2024-06&lo=-0.1&hi=0.9&cm=viridis&low=2&at=july&px=12.11,45.465")
    assert visitor.text("#variable") == "NDVI"
    assert visitor.window.input_value("#lo") == "-0.1"
    assert visitor.window.input_value("#colormap") == "viridis"
    assert visitor.window.is_visible("#passport")
    before, shown = visitor.state, visitor.picture()
    visitor.window.reload()
    visitor.window.wait_for_selector("body[data-ready]")
    visitor.settle()
    assert visitor.state == before
    assert unlike(visitor.picture(), shown) < 1
    turned = visitor.window.evaluate(
        """async () => {
          const { parse, format } = await import("/page/state.js");
          const all = {at: "a b&c", month: "2024-01", v: "red,green,blue", lo: -1.5, hi: 2,
            cm: "Blues_r", low: 0, view: [179.5, -17.25, 9.5], px: [12.5, 45.25],
            b: {at: "x", v: "NDVI"},
            mode: "swipe", split: 33, xray: true, gpu: true};
          return [all, parse(format(all)), parse("lo=x&view=1,2&split=999&mode=evil")];
        }"""
    )
    assert turned[0] == turned[1]
    assert (turned[2]["lo"], turned[2]["view"], turned[2]["split"]) == (None, None, 100)
    assert turned[2]["mode"] == ""


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("ndv", "NDVI"),  # name
        ("water", "NDWI"),  # domain
        ("(g - n)", "NDWI"),  # formula
        ("enhanced veg", "EVI"),  # long name
        ("observations", "count"),
    ],
)
def test_search_finds_variables(at, query, title):
    visitor = at()
    visitor.press("/")
    visitor.window.fill("#query", query)
    found = visitor.window.locator("#found [role=option] span").all_inner_texts()
    for _ in range(found.index(title) + 1):
        visitor.window.keyboard.press("ArrowDown")
    chosen = visitor.window.get_attribute("#query", "aria-activedescendant")
    assert visitor.window.get_attribute(f"#{chosen}", "aria-selected") == "true"
    visitor.press("Enter")
    assert visitor.text("#variable") == title
    assert not visitor.window.is_visible("#found")


def test_search_finds_months_places_tags_and_nothing(at):
    visitor = at("v=NDVI")
    for query, key, value in [
        ("May", "month", "2024-05"),
        ("july", "at", "july"),
        ("12.1, 45.47", "px", "12.100000,45.470000"),
    ]:
        visitor.window.fill("#query", query)
        visitor.press("Enter")
        assert visitor.state[key] == value
        visitor.blur()
    visitor.window.fill("#query", "<b>no such thing")
    assert "nothing found" in visitor.text("#found")
    visitor.window.evaluate("() => neve.chart.map.jumpTo({ center: [20, 50], zoom: 5 })")
    visitor.window.fill("#query", "lagoon")
    visitor.window.click("#found [role=option] >> text=lagoon")
    visitor.window.wait_for_function("() => neve.chart.map.getZoom() > 8")
    visitor.settle()
    lon, lat, _ = map(float, visitor.state["view"].split(","))
    assert (lon, lat) == pytest.approx(POINT, abs=0.1)


def test_colours_and_limits(at):
    visitor = at("v=NDVI")
    first = visitor.picture()
    visitor.window.select_option("#colormap", "magma")
    visitor.settle()
    second = visitor.picture()
    visitor.window.fill("#hi", "0.3")
    visitor.blur()
    visitor.settle()
    third = visitor.picture()
    assert min(unlike(first, second), unlike(second, third)) > 5
    assert (visitor.state["cm"], visitor.state["hi"]) == ("magma", "0.3")
    visitor.click("#reset")
    assert "cm" not in visitor.state
    assert unlike(visitor.picture(), first) < 1


def test_colormaps_are_matplotlibs(visitor):
    names, found = visitor.window.evaluate(
        """async () => {
          const { NAMES, colours } = await import("/page/colormaps.js");
          return [NAMES, NAMES.map(colours)];
        }"""
    )
    for name, ramp in zip(names, found, strict=True):
        wanted = mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
        assert np.abs(np.array(ramp) - wanted).max() < 12, name


def test_scrubbing_months_and_history(at):
    visitor = at("v=NDVI&month=2024-07")
    july = visitor.picture()
    visitor.window.focus("#month")
    visitor.press("ArrowLeft")
    assert visitor.state["month"] == "2024-06"
    assert "June 2024" in visitor.window.get_attribute("#month", "aria-valuetext")
    june = visitor.picture()
    assert unlike(june, july) > 5
    visitor.window.focus("#commit")
    visitor.press("ArrowLeft")
    assert "july" in visitor.text("#commit-name")
    assert unlike(visitor.picture(), june) > 2  # June as it was before it was built again
    visitor.press("Home")
    assert "No month yet" in visitor.text("#notice")
    assert visitor.window.is_disabled("#what-changed")
    visitor.press("End")
    assert visitor.state.get("at", "main") == "main"
    assert not visitor.window.is_visible("#notice")
    visitor.blur()
    for key, month in (("[", "2024-06"), ("]", "2024-07")):
        visitor.press(key)
        assert visitor.state["month"] == month


def passport(visitor):
    rows = visitor.window.locator("#passport dl > *").all_inner_texts()
    return dict(zip(rows[::2], rows[1::2], strict=True))


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

    def copied(label):
        visitor.window.click(f"#passport button >> text={label}")
        return visitor.window.evaluate("() => navigator.clipboard.readText()")

    *statements, expression = copied("xarray").replace("<store>", store).splitlines()
    names: dict[str, object] = {}
    exec("\n".join(statements), names)
    assert float(eval(expression, names)["NDVI"]) == pytest.approx(value)
    with urlopen(re.search("'(.+)'", copied("curl"))[1]) as answer:
        assert json.load(answer)["value"] == pytest.approx(value)
    assert copied("permalink") == visitor.window.url
    visitor.show(f"v=SAVI&month=2024-07&px={visitor.state['px']}")
    visitor.window.wait_for_function("() => document.body.textContent.includes('SAVI, July')")
    *statements, expression = copied("xarray").replace("<store>", store).splitlines()
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


def focused(visitor):
    return visitor.window.evaluate("() => document.activeElement.textContent")


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


def test_what_a_commit_changed(at, store):
    visitor = at("v=EVI&month=2024-07")
    visitor.click("#what-changed")
    assert visitor.state["month"] == "2024-06"
    repository = ic.Repository.open(ic.local_filesystem_storage(store))
    newest, before = (info.id for info in list(repository.ancestry(branch="main"))[:2])
    assert visitor.state["b.at"] == before
    changed = repository.diff(from_snapshot_id=before, to_snapshot_id=newest).updated_chunks
    touched = {
        tuple(chunk[1:])
        for path, chunks in changed.items()
        if path.startswith("/1x/")
        for chunk in chunks
        if len(chunk) == 3
    }
    assert f"level 1x\t{len(touched)} chunks" in visitor.text("#changes")
    assert colours(visitor.picture()) > 20
    visitor.click("#presets >> text=month before")
    assert colours(visitor.picture()) > 200
    visitor.show("v=red,green,blue&month=2024-06&mode=delta&b.month=2024-05&low=0")
    assert "A picture has no difference" in visitor.text("#compare-note")


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


class Paced(Inline):
    """Builds a block for each leave that it is given."""

    def __init__(self):
        self.leave = Semaphore(0)

    def map(self, function, tasks):
        for task in tasks:
            self.leave.acquire()
            yield function(task)


def test_looking_on_while_a_month_is_built(at, store, monkeypatch):
    monkeypatch.setattr(staging, "SECONDS", 0.0)
    monkeypatch.setattr(staging, "SHARE", 1e9)
    visitor = at("v=NDVI&month=2024-07")
    look_again = "() => document.dispatchEvent(new Event('visibilitychange'))"
    commits = int(visitor.window.get_attribute("#commit", "max"))
    repository = ic.Repository.open(ic.local_filesystem_storage(store))
    tip, engine = repository.lookup_branch("main"), Paced()
    with ThreadPoolExecutor(1) as thread:
        building = thread.submit(build, Path(store).parent, COMING, engine=engine)
        try:
            engine.leave.release(5)
            visitor.window.evaluate(look_again)
            visitor.window.wait_for_selector("#begun >> text=5 of 9 blocks")
            assert "August 2024 begun" in visitor.text("#live")
            assert visitor.state["month"] == "2024-07"
            visitor.click("#begun button")
            assert focused(visitor) == visitor.text("#begun button")
            assert visitor.state["at"] == f"staging.lagoon.{COMING}"
            assert "never run\n4" in visitor.text("#statuses")
            assert serious(visitor) == []
            some = visitor.picture()
            engine.leave.release(3)
            visitor.window.evaluate(look_again)
            visitor.window.wait_for_selector("#begun >> text=8 of 9 blocks")
            visitor.settle()
            assert "never run\n1" in visitor.text("#statuses")
            assert unlike(visitor.picture(), some) > 2
        finally:
            engine.leave.release(99)
        building.result()
    try:
        visitor.window.evaluate(look_again)
        visitor.window.wait_for_function("() => !location.hash.includes('staging')")
        visitor.settle()
        assert "New: lagoon 2024-08" in visitor.text("#live")
        assert (visitor.state["month"], visitor.text("#begun")) == (COMING, "")
        assert visitor.window.get_attribute("#month", "max") == "4"
        assert visitor.window.get_attribute("#commit", "max") == str(commits + 1)
        assert "never run\n0" in visitor.text("#statuses")
    finally:
        repository.reset_branch("main", tip)
        visitor.window.evaluate(look_again)
        visitor.window.wait_for_function("() => document.querySelector('#month').max === '3'")


def test_looking_at_a_cube_with_abandoned_months(browser, url, store):
    """Months that nobody finishes, some not even readable, do not hide the map."""
    repository = ic.Repository.open(ic.local_filesystem_storage(store))
    tip = repository.lookup_branch("main")
    months = ("2024-05", "2024-06", "2024-07", "2031-01", "2031-02")
    names = [f"staging.lagoon.{month}" for month in months]
    for name in names:
        repository.create_branch(name, tip)
    visitor = Visitor(browser, url)
    try:
        visitor.open("v=NDVI&month=2024-07")
        words = [b.split(" begun")[0] for b in visitor.text("#begun").split("\n") if b]
        assert words == ["June 2024", "July 2024"]  # of the four latest
    finally:
        for name in names:
            repository.delete_branch(name)
        visitor.window.close()


def exported(visitor, button):
    """What a click on a button of the time-lapse's dialog hands over: its name and its picture."""
    visitor.window.evaluate("() => (document.querySelector('#export-save').hidden = true)")
    visitor.window.click(button)
    visitor.window.wait_for_selector("#export-save:not([hidden])")
    with visitor.window.expect_download() as download:
        visitor.window.click("#export-save")
    held = io.BytesIO(Path(download.value.path()).read_bytes())
    return download.value.suggested_filename, Image.open(held)


def test_time_lapse(at):
    visitor = at("v=NDVI&month=2024-05")
    visitor.click("#tool-export")
    name, strip = exported(visitor, "#export-strip")
    assert re.fullmatch(r"lagoon-NDVI-\w{7}\.png", name)
    months = np.array_split(np.asarray(strip.convert("RGB")), 4, axis=1)
    assert all(colours(month) > 100 for month in months)
    assert "4 months" in visitor.text("#export-note")
    visitor.window.evaluate("() => (document.querySelector('#export-save').hidden = true)")
    visitor.window.click("#export-film")
    visitor.window.wait_for_selector("#export-preview video", timeout=60_000)
    assert visitor.window.evaluate("() => document.querySelector('video').videoWidth || 360") == 360
    visitor.window.click("#export-close")
    assert visitor.state["month"] == "2024-05"


def test_time_lapse_as_gif(at):
    visitor = at("v=NDVI&month=2024-05")
    visitor.window.evaluate(
        """() => {
          const write = CanvasRenderingContext2D.prototype.fillText;
          globalThis.written = [];
          CanvasRenderingContext2D.prototype.fillText = function (words, ...rest) {
            globalThis.written.push(words);
            return write.call(this, words, ...rest);
          };
        }"""
    )
    visitor.click("#tool-export")
    name, gif = exported(visitor, "#export-gif")
    visitor.window.wait_for_selector("#export-preview img")
    visitor.window.click("#export-close")
    assert re.fullmatch(r"lagoon-NDVI-\w{7}\.gif", name)
    assert (gif.format, gif.n_frames, gif.info["loop"]) == ("GIF", 4, 0)
    frames = []
    for k in range(gif.n_frames):
        gif.seek(k)
        assert gif.info["duration"] == 700
        frames.append(np.asarray(gif.convert("RGB")))
        assert colours(frames[-1]) > 100
        assert colours(frames[-1][-46:]) > 10  # snapshot, credit and colours below the picture
    assert min(unlike(*pair) for pair in itertools.pairwise(frames)) > 1
    written = " ".join(visitor.window.evaluate("() => globalThis.written"))
    snapshot = name.removesuffix(".gif").rpartition("-")[2]
    for words in ("April 2024", "July 2024", f"snapshot {snapshot}", "Copernicus", " km"):
        assert words in written


def test_keys_and_help(at):
    visitor = at("v=NDVI&month=2024-06")
    visitor.press("?")
    assert visitor.window.is_visible("#help")
    assert "commit before" in visitor.text("#keys")
    visitor.click("#help-close")
    visitor.press("p")
    assert visitor.window.is_visible("#passport")
    visitor.press("Escape")
    for key, pressed in (("c", "swipe"), ("d", "delta")):
        visitor.press(key)
        assert visitor.window.get_attribute(f"#tool-{pressed}", "aria-pressed") == "true"
    visitor.press("d")
    visitor.press(",")
    before = visitor.state["at"]
    visitor.press(".")
    assert visitor.state.get("at", "main") != before
    visitor.press("e")
    assert visitor.window.is_visible("#export")
    visitor.click("#export-close")
    visitor.press("g")
    assert visitor.state["gpu"] == "1"
    visitor.press("g")
    visitor.window.evaluate("() => neve.chart.map.jumpTo({ center: [20, 50], zoom: 5 })")
    visitor.press("f")
    visitor.window.wait_for_function("() => neve.chart.map.getZoom() > 8")
    visitor.window.focus(".skip")
    visitor.press("Enter")
    assert visitor.window.evaluate("() => document.activeElement.id") == "panel"
    visitor.click("#play")
    visitor.window.wait_for_function("() => !location.hash.includes('2024-06')")
    visitor.click("#play")
    assert visitor.window.inner_text("#live")


def serious(visitor):
    axe = page_room.PROJECT / "node_modules" / "axe-core" / "axe.min.js"
    visitor.window.evaluate(axe.read_text("utf-8"))
    found = visitor.window.evaluate("() => axe.run()")
    return [
        (v["id"], [n["html"] for n in v["nodes"]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def test_axe_finds_nothing_serious(at):
    visitor = at("v=NDVI&month=2024-06&mode=swipe&b.v=EVI&xray=1&px=12.11,45.465")
    visitor.window.wait_for_selector("#plot canvas")
    assert serious(visitor) == []
    visitor.window.fill("#query", "veg")
    assert serious(visitor) == []
    visitor.blur()
    visitor.click("#tool-export")
    assert serious(visitor) == []
    visitor.window.click("#export-close")


def test_on_a_phone_with_reduced_motion(browser, url):
    visitor = Visitor(browser, url, 390, 800, has_touch=True, reduced_motion="reduce")
    visitor.open("v=NDVI&month=2024-07")
    visitor.window.evaluate("() => neve.chart.map.jumpTo({ center: [20, 50], zoom: 5 })")
    visitor.window.keyboard.press("f")
    assert visitor.window.evaluate("() => neve.chart.map.isMoving()") is False
    assert visitor.window.evaluate("() => neve.chart.map.getZoom()") > 8  # at once
    assert not visitor.window.is_visible("#query")
    visitor.click("#fold")
    assert visitor.window.is_visible("#query")
    visitor.click("#fold")
    cards = "[...document.querySelectorAll('.card')]"
    wide = f"() => {cards}.every(e => e.scrollWidth <= e.clientWidth + 1)"
    assert visitor.window.evaluate(wide)
    visitor.window.touchscreen.tap(195, 330)
    visitor.settle()
    visitor.window.wait_for_selector("#plot canvas")
    assert visitor.window.evaluate(wide)
    assert serious(visitor) == []
    assert visitor.wrong == []
    visitor.window.close()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("map", "v=NDVI&month=2024-07&low=2&px=12.11,45.465"),
        ("swipe", "v=NDVI&month=2024-06&low=2&mode=swipe&b.v=red,green,blue&split=56"),
    ],
)
def test_the_pictures_of_the_readme(at, name, state):
    """NEVE_PICTURES=1 makes them anew; otherwise the page must still look like them."""
    visitor = at()
    visitor.show(state)
    visitor.window.keyboard.press("f")
    visitor.window.wait_for_timeout(2500)
    visitor.settle()
    shot = Image.open(io.BytesIO(visitor.window.screenshot())).convert("RGB")
    file = PICTURES / f"{name}.webp"
    if os.environ.get("NEVE_PICTURES"):
        shot.resize((960, 600), Image.Resampling.LANCZOS).save(file, quality=72, method=6)
    assert file.stat().st_size < 60_000
    small = [
        np.asarray(image.convert("RGB").resize((64, 40))) for image in (shot, Image.open(file))
    ]
    assert unlike(*small) < 10
