"""The map page in a real browser against a real server: its frame, offline."""

import gzip
import io
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib as mpl
import numpy as np
import pytest
from page_browser import colours, unlike
from page_visitor import POINT, Visitor, at, browser, pytestmark, serious, store, url, visitor
from PIL import Image

__all__ = ["at", "browser", "pytestmark", "store", "url", "visitor"]
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
PAGE_TEXT = PICTURES.parent / "page.md"
BUDGET = 650  # KB


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
