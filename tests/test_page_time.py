"""The page and time: months, versions, what a commit changed, a month being built, films."""

import io
import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore

import icechunk as ic
import numpy as np
from page_browser import COMING, build, colours, unlike
from page_visitor import Visitor, at, browser, focused, pytestmark, serious, store, url, visitor
from PIL import Image

from neve.build import staging
from neve.build.engine import Inline

__all__ = ["at", "browser", "pytestmark", "store", "url", "visitor"]


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
