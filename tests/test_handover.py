"""Values between assets: where they go, by each form of place that the documents name."""

import base64
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import dagster as dg
import pytest
from flaky_server import running
from upath import UPath

from resources.handover import Handover


def manager(place, **options):
    return Handover(path=place, **options).create_io_manager(dg.build_init_resource_context())


def keep_and_read(place, **options):
    """A tuple through the manager; returns it with the text of its file."""
    made = manager(place, **options)
    key = dg.AssetKey(["scenes"])
    made.handle_output(dg.build_output_context(asset_key=key), ("a", "b"))
    read = made.load_input(
        dg.build_input_context(
            asset_key=key,
            dagster_type=dg.PythonObjectDagsterType(tuple),
            upstream_output=dg.build_output_context(asset_key=key),
        )
    )
    return list(read), made


@pytest.mark.parametrize("form", ["{}", "file://{}", "memory://handover{}"])
def test_any_folder_hands_on(tmp_path, form):
    place = form.format(tmp_path)
    # The S3 endpoint of the cubes is no matter of other places.
    found, _ = keep_and_read(place, s3_endpoint="http://127.0.0.1:1")
    assert found == ["a", "b"]
    assert (UPath(place) / "scenes.json").read_text() == '["a","b"]'


class Blobs(BaseHTTPRequestHandler):
    """Refuses all; ``seen``: path and who asked."""

    seen: ClassVar = []

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["Authorization"]))
        self.send_error(403)

    do_GET = do_HEAD = do_PUT

    def log_message(self, *_):
        pass


def test_azure_is_asked_as_the_account_for_the_container(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blobs)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"secret").decode())
    with running(server), pytest.raises(OSError, match="403"):
        (manager("az://account/container/some/where")._base_path / "x.json").write_bytes(b"x")
    path, by = Blobs.seen[0]
    assert path.startswith("/container/some/where/x.json")
    assert by.startswith("SharedKey account:")
