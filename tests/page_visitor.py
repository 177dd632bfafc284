"""A window of a headless Chromium on the map page, offline, before a real server."""

from urllib.parse import parse_qs, urlsplit

import pytest
from page_browser import CHROMIUM, FLAGS, pixels, served

from neve import page as page_room

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
    pytest.mark.skipif(
        not (page_room.vendor() / "maplibre-gl").is_dir(), reason="npm ci has not run"
    ),
]
POINT = (12.11, 45.465)
# The part of a 1280 × 800 window that no panel covers.
CLEAR = {"x": 380, "y": 40, "width": 520, "height": 600}


@pytest.fixture(scope="module")
def store(lagoon):
    return lagoon


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


def focused(visitor):
    return visitor.window.evaluate("() => document.activeElement.textContent")


def serious(visitor):
    axe = page_room.PROJECT / "node_modules" / "axe-core" / "axe.min.js"
    visitor.window.evaluate(axe.read_text("utf-8"))
    found = visitor.window.evaluate("() => axe.run()")
    return [
        (v["id"], [n["html"] for n in v["nodes"]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
