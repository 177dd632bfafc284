"""The page's files: pinned without addresses, all there, all in the wheel with their licences."""

import json
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import PROJECT

from neve import page

INSTALLED = page.vendor()
needs_npm = pytest.mark.skipif(
    not (INSTALLED / "maplibre-gl").is_dir(), reason="npm ci has not run"
)


def listed(file: str) -> bool:
    """Whether a file of a package is among those that are handed out."""
    return any(
        file == one or (one.endswith("/") and file.startswith(one)) for one in page.vendored()
    )


def test_the_lock_pins_everything_and_holds_no_address():
    text = (PROJECT / "package-lock.json").read_text("utf-8")
    assert "://" not in text  # npm install writes links to donate: take them out again
    packages = json.loads(text)["packages"]
    assert all(entry.get("integrity") for name, entry in packages.items() if name)
    wanted = json.loads((PROJECT / "package.json").read_text("utf-8"))
    pins = wanted["dependencies"] | wanted["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins.values())


def test_whatever_the_page_names_is_handed_out():
    html = (page.STATIC / "index.html").read_text("utf-8")
    scripts = "\n".join(f.read_text("utf-8") for f in page.STATIC.glob("*.js"))
    assert not re.search(
        r"(src|href)=\"(https?:)?//|from \"https?:|url\(['\"]?http", html + scripts
    )
    named = set(re.findall(r"vendor/([\w@./-]+\.(?:json|js|mjs|css)\b)", html + scripts))
    assert {name for name in named if not listed(name)} == set()
    own = set(re.findall(r"(?:page/|\./)([\w-]+\.(?:js|css|svg))\"", html + scripts))
    assert {name for name in own if not (page.STATIC / name).is_file()} == set()


@needs_npm
def test_what_is_handed_out_is_installed_with_its_licence():
    packages = json.loads((page.HERE / "vendored.json").read_text("utf-8"))
    assert [f for f in page.vendored() if not (INSTALLED / f).exists()] == []
    for package, files in packages.items():
        assert any(file.startswith("LICENSE") for file in files), package


@needs_npm
def test_the_wheel_holds_the_page_and_its_packages(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "neve/page/static/index.html" in held
    for file in page.vendored():
        place = f"neve/page/vendor/{file}"
        assert place in held or any(name.startswith(place) for name in held), file


def test_the_policy_lets_in_the_import_map_and_no_other_inline_script():
    assert len(page.inline_hashes()) == 1
    html = (page.STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"\son\w+=", html)
