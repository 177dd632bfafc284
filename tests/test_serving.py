"""The map server over HTTP: what it refuses, keeps, hands out, and how it starts and ends."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import icechunk as ic
import pytest
import zarr
from fastapi import FastAPI
from map_server import AFFINE, map_server, running
from served_cube import centre, client, cube, tile_of

from neve import page
from neve.errors import CubeMismatch, MetadataInvalid
from neve.serving import describing
from neve.serving.app import create_app
from neve.serving.files import add_page
from neve.serving.views import Views

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


def test_what_a_snapshot_names_is_kept_and_branches_are_asked_again(client, cube):
    tip = cube.cube().tip()
    place = "/".join(map(str, (13, *tile_of(*centre(client), 13))))
    for path in (f"/tiles/{{}}/red/{place}.png", "/zarr/{}/zarr.json", "/api/months?at={}"):
        fixed, moving = client.get(path.format(tip)), client.get(path.format("main"))
        holds = "public, max-age=" + ("31536000, immutable" if "zarr" in path else "86400")
        assert fixed.headers["cache-control"] == holds
        assert moving.headers["cache-control"] == "no-cache"
        assert moving.content == fixed.content
        again = client.get(path.format("main"), headers={"If-None-Match": moving.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        other = client.get(path.format("first"), headers={"If-None-Match": moving.headers["etag"]})
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/cube?at=nowhere", 404),
        ("/api/cube?at=1CECHNKREP0F1RSTCMT0", 404),
        (f"/api/cube?at=staging.{63 * 'r'}.2024-06", 404),
        ("/api/blocks?month=2023-01", 422),
        ("/api/pixel?lon=0&lat=0&variable=NDVI", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=NDVI&level=3x", 422),
        ("/api/pixel?lon=12.05&lat=45.52&variable=spatial_ref", 422),
        ("/edr/main/position?coords=POINT(0 0)&parameter-name=NDVI", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NOPE", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&crs=EPSG:3857", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=NDVI&datetime=2030-01", 422),
        ("/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=" + "NDVI," * 30, 422),
        ("/edr/main/position?coords=MULTIPOINT((12 45),(12 46))&parameter-name=NDVI", 422),
        ("/edr/nowhere/position?coords=POINT(12.07 45.53)&parameter-name=NDVI", 404),
        ("/edr/main/area?coords=POLYGON((0 0,1 1,1 0,0 0))", 404),
        ("/tiles/main/NOPE/5/1/1.png", 422),
        ("/tiles/main/red,green/5/1/1.png", 422),
        ("/tiles/main/red/5/1/1.png?lo=1&hi=0", 422),
        ("/tiles/main/red/5/1/1.png?colormap=rainbowish", 422),
        ("/nothing", 404),
        ("/datasets/main/tiles", 404),
    ],
)
def test_bad_input_is_refused_with_a_sentence(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["error"]) > 5
    assert answer.headers["cache-control"] == "no-store"
    assert "Traceback" not in answer.text


def test_what_was_not_foreseen_is_a_sentence_too(client, monkeypatch):
    monkeypatch.setattr(describing, "history", lambda view: 1 // 0)
    # uvicorn closes the connection after such an answer: the next test must not get it
    answer = client.get("/api/history", headers={"Connection": "close"})
    assert answer.status_code == 500
    assert answer.json() == {"error": "an error within the server; its log tells more"}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_store_that_fails_is_told_of_in_a_sentence(cube, tmp_path):
    shutil.copytree(cube.store, tmp_path / "cube")
    with map_server(str(tmp_path / "cube")) as client:
        shutil.rmtree(tmp_path / "cube" / "manifests")
        answer = client.get("/zarr/first/1x/red/c/0/0/0")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
        told = "the store did not answer as it should; ask again, or see the server's log"
        assert answer.json() == {"error": told}  # nothing of what Icechunk says


def test_an_empty_repository_is_told_of_before_anything_listens(tmp_path):
    repository = ic.Repository.create(ic.local_filesystem_storage(str(tmp_path / "bare")))
    with pytest.raises(CubeMismatch, match=r"^bare: an empty repository"):
        create_app(repository, str(tmp_path / "bare"), ["*"])


def test_only_the_files_that_the_page_needs_are_handed_out(tmp_path):
    for name in ("uplot/LICENSE", "uplot/package.json", "zarrita/dist/src/a/b.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", "utf-8")
    app = FastAPI()
    add_page(app, page.STATIC, tmp_path)
    with running(app) as client:
        for path in (
            "/",
            "/page/app.js",
            "/vendor/uplot/LICENSE",
            "/vendor/zarrita/dist/src/a/b.js",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["cache-control"] == "no-cache"
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == (200 if path == "/" else 304)
        for path in (
            "uplot/package.json",
            "zarrita/dist/src/../../package.json",
            ".package-lock.json",
        ):
            assert client.get(f"/vendor/{path}").status_code == 404


@pytest.mark.slow
def test_the_command_serves_and_stops_and_refuses_wrong_metadata(tiny):
    """Of an empty cube, too, there is something to tell."""
    cube = tiny.cube()
    program = str(Path(sys.executable).with_name("neve"))
    with subprocess.Popen(
        [program, "serve", tiny.store, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = server.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            assert httpx.get(f"{url}api/cube", timeout=30).json()["months"] == []
            assert httpx.get(f"{url}tiles/main/red/5/1/1.png").status_code == 422
            assert httpx.get(f"{url}api/cube", headers={"Host": "evil.test"}).status_code == 400
            with pytest.raises(httpx.ConnectError):  # of loopback, too, just the one address
                httpx.get(url.replace("127.0.0.1", "127.0.0.2"))
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130)
    session = cube.repository.writable_session("main")
    group = zarr.open_group(session.store, path="4x", mode="r+")
    group.attrs["spatial:shape"] = [1, 1]
    session.commit("a slip")
    refused = subprocess.run(
        [program, "info", tiny.store], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 3, refused.stderr
    assert "/4x: spatial:shape is [1, 1]" in refused.stderr
    with pytest.raises(MetadataInvalid):
        Views(cube.repository, tiny.store).at("main")
