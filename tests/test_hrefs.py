"""Hrefs are hostile input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neve.errors import SceneRejected
from neve.scenes.hrefs import Reach, checked_href, joined


@pytest.mark.parametrize(
    "href",
    [
        "https://data.example.com/a/B04.tif",
        "http://8.8.8.8:8000/a.tif",
        "s3://bucket/tiles/33/T/WL/B04.jp2",
        "https://blob.example.com/a.tif?sv=2020&sig=a%2Fb",
        "https://data.example.com/vsi-data/a.tif",
    ],
)
@pytest.mark.parametrize("base", [None, "folder"])
def test_remote_hrefs_pass_as_they_are(href, base, tmp_path):
    assert checked_href(href, Reach(str(tmp_path) if base else None)) == href


@pytest.mark.parametrize(
    "href",
    [
        "",
        None,
        7,
        "/vsicurl/https://data.example.com/a.tif",
        "/vsizip//vsicurl/http://x/a.zip/a.tif",
        "vsicurl/../../../etc/passwd",
        "https://data.example.com/vsizip/vsicurl/x",
        "https://data.example.com/%2Fvsicurl/x",
        "/etc/passwd",
        "//host/share/a.tif",
        "../../../etc/passwd",
        "file:///etc/passwd",
        "file://host/etc/passwd",
        "file:../../etc/passwd",
        "file:///tmp/a%0ab.tif",
        "ftp://host/a.tif",
        "gs://bucket/a.tif",
        'HDF5:"/etc/passwd"://x',
        "data:image/tiff;base64,AAAA",
        "https://user:secret@host/a.tif",
        "https://@host/a.tif",
        "https://host",
        "https://host/",
        "https:///a.tif",
        "https:a.tif",
        "https://host:port/a.tif",
        "http://[::1/a.tif",
        "s3://bucket",
        "https://host/a b.tif",
        "https://host/a\r\nHost: x.tif",
        "https://host\\@other/a.tif",
        "a\0.tif",
        "https://host/" + "a" * 5000,
        ".",
    ],
)
@pytest.mark.parametrize("base", [None, "folder"])
def test_hostile_hrefs_are_refused(href, base, tmp_path):
    with pytest.raises(SceneRejected) as caught:
        checked_href(href, Reach(str(tmp_path) if base else None))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("href", ["B04.tif", "/data/B04.tif", "file:///data/B04.tif"])
def test_without_a_folder_no_local_path_passes(href):
    with pytest.raises(SceneRejected, match="may not name local files"):
        checked_href(href, Reach())


def test_local_files_must_lie_in_the_folder_symlinks_followed(tmp_path):
    folder, outside = tmp_path / "catalogue", tmp_path / "outside"
    (folder / "scene").mkdir(parents=True)
    outside.mkdir()
    (outside / "B04.tif").touch()
    (folder / "link.tif").symlink_to(outside / "B04.tif")
    (folder / "linked").symlink_to(outside)
    (folder / "within.tif").symlink_to(folder / "scene" / "B04.tif")
    inside = str(folder / "scene" / "B04.tif")
    base = Reach(str(folder))
    for href in ("scene/B04.tif", "./scene/../scene/B04.tif", inside, f"file://{inside}"):
        assert checked_href(href, base) == inside
    assert checked_href("within.tif", base) == inside
    assert checked_href("scene/with space.tif", base).endswith("with space.tif")
    for href in ("link.tif", "linked/B04.tif", "../outside/B04.tif", f"{folder}-x/a.tif"):
        with pytest.raises(SceneRejected):
            checked_href(href, base)


def test_names_that_gdal_would_read_as_drivers_become_plain_paths(tmp_path):
    assert (
        checked_href("GTIFF_DIR:1:/etc/a", Reach(str(tmp_path))) == f"{tmp_path}/GTIFF_DIR:1:/etc/a"
    )


def test_a_folder_that_is_a_symlink_is_followed_too(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to(tmp_path / "real")
    expected = str(tmp_path / "real" / "a.tif")
    named = Reach(str(tmp_path / "name"))
    assert checked_href("a.tif", named) == expected
    assert checked_href(str(tmp_path / "name" / "a.tif"), named) == expected


@given(st.text() | st.from_regex(r"(https?|s3|file|/vsi[a-z]+)?:?/{0,3}[ -~]{0,20}"))
def test_whatever_passes_is_a_plain_remote_url(href):
    try:
        passed = checked_href(href, Reach())
    except SceneRejected:
        return
    assert passed.startswith(("http://", "https://", "s3://"))
    assert not passed.startswith("/vsi") and "\n" not in passed


def test_joining_touches_only_relative_hrefs():
    hrefs = {"a": "./B04.tif", "b": "/etc/passwd", "c": "s3://b/k.tif", "d": None, "e": "x/y.tif"}
    item = {"assets": {key: {"href": href} for key, href in hrefs.items()} | {"f": 3}}
    local = joined(item, "/data/scene")["assets"]
    assert local["a"] == {"href": "/data/scene/./B04.tif"}
    assert local["e"] == {"href": "/data/scene/x/y.tif"}
    assert {key: local[key] for key in "bcdf"} == {key: item["assets"][key] for key in "bcdf"}
    remote = joined(item, "https://api.example.com/items/a")["assets"]
    assert remote["a"] == {"href": "https://api.example.com/items/B04.tif"}
    assert joined({"assets": []}, "/data") == {"assets": []}
