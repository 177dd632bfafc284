import contextlib
import itertools
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import aws_environment
from hypothesis import given
from hypothesis import strategies as st
from images import UTM33, north_up, write_image
from loopback import Handler, Loopback, running

from neve.errors import ReadFailed
from neve.reading.cog import Cog
from neve.reading.image import read_window
from neve.reading.rangefile import RangeFile
from neve.reading.ranges import GAP, WHOLE, Hiccup, Reads, fetch, grouped

READS = Reads(attempts=2, pause=0.01, timeout=5, hosts=("127.0.0.1",))


@given(st.lists(st.tuples(st.integers(0, 600_000), st.integers(1, 90_000)), max_size=8))
def test_one_request_serves_neighbours(spans: list[tuple[int, int]]) -> None:
    groups = grouped("https://nowhere/a.tif", spans)
    assert sorted(k for group in groups for k in group) == list(range(len(spans)))
    edges = [(min(spans[k][0] for k in g), max(sum(spans[k]) for k in g)) for g in groups]
    for (_, end), (start, _) in itertools.pairwise(edges):
        assert start - end > GAP
    assert [len(group) for group in grouped("/local", [(0, 5), (5, 5)])] == [1, 1]


def test_spans_come_back_in_their_order(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(1000)
    (tmp_path / "a b").write_bytes(data)
    spans = [(900, 200), (0, 10), (5, 10), (1000, 5)]
    expected = [data[start : start + length] for start, length in spans]
    for href in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        assert fetch(href, spans, False, READS) == (expected, 1000)


@given(st.lists(st.tuples(st.integers(0, 700_000), st.integers(0, 400_000)), max_size=5))
def test_a_range_file_reads_like_a_file(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "range-file"
    if not path.exists():
        path.write_bytes(np.random.default_rng(0).bytes(600_001))
    head = path.read_bytes()[:1000]
    file = RangeFile(str(path), head, 600_001, READS, 2**30)
    with path.open("rb") as plain:
        for offset, length in moves:
            assert file.seek(offset) == plain.seek(offset)
            assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell()


def test_a_file_that_is_read_over_and_over_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    file = RangeFile(str(tmp_path / "a"), b"", 100, READS, 150)
    assert file.read() == bytes(100)
    file.seek(0)
    with pytest.raises(ReadFailed, match="over and over"):
        file.read()
    assert file.again().read() == b""  # it shares the failure: GDAL gets nothing more


@pytest.mark.parametrize("href", ["s3://b/a//b", "s3://b/../k", "s3://b/a%00b", "s3://b/a%0a"])
def test_a_key_that_cannot_be_is_the_scene_s_fault(href: str) -> None:
    with pytest.raises(ReadFailed, match="parse") as told:
        fetch(href, [(0, 10)], False, READS)
    assert str(told.value).isprintable()


def test_nothing_waits_for_a_pipe_in_the_place_of_an_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    for place in (tmp_path / "a.tif", tmp_path):
        with pytest.raises(ReadFailed, match="not a regular file"):
            fetch(str(place), [(0, 10)], False, READS)


class Flood(Handler):
    """Answers every range with 16 MB."""

    def do_GET(self) -> None:
        whole = self.path == "/whole"
        self.send_response(200 if whole else 206)
        self.send_header("Transfer-Encoding", "chunked")
        if whole:
            self.send_header("Content-Length", "1000")
        self.send_header("Content-Range", "bytes 0-9/1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(256):
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


@pytest.mark.parametrize(
    ("path", "most"), [("range", "11 bytes of 10"), ("whole", f"{WHOLE + 1} bytes of 1000")]
)
def test_of_too_long_a_body_no_more_is_read_than_tells_so(path: str, most: str) -> None:
    server = Loopback(Flood)
    with running(server), pytest.raises(Hiccup, match=f"got {most}"):
        fetch(f"{server.url}/{path}", [(0, 10)], False, READS)


class Bucket(Handler):
    """An S3 API that answers every range with as many bytes as the object's name says, of 1000."""

    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        self.send_response(206)
        self.send_header("Content-Length", str(max(size, 10)))
        self.send_header("Content-Range", "bytes 0-9/1000")
        self.send_header("Last-Modified", "Sat, 01 Jun 2024 00:00:00 GMT")
        self.end_headers()
        self.close_connection = size < 10
        with contextlib.suppress(OSError):
            for start in range(0, size, 0x10000):
                self.wfile.write(bytes(min(0x10000, size - start)))
                self.server.sent = start


@pytest.mark.parametrize(
    ("size", "told"), [(10, None), (9, "error"), (11, "11 bytes"), (2**28, "11 bytes")]
)
def test_a_store_that_answers_with_another_length_is_refused_before_memory_is_taken(
    size: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Loopback(Bucket)
    aws_environment(monkeypatch, server.url)
    href = f"s3://bucket/{size}"
    with running(server):
        if told is None:
            assert fetch(href, [(0, 10)], True, READS) == ([bytes(10)], 1000)
            return
        with pytest.raises(Hiccup, match=told):
            fetch(href, [(0, 10)], True, READS)
    assert server.sent < 2**24


class Said(socketserver.BaseRequestHandler):
    """Sends what its server is to say."""

    def handle(self) -> None:
        self.request.recv(65536)
        with contextlib.suppress(OSError):
            for part in self.server.parts:
                self.request.sendall(part)
                time.sleep(self.server.pause)


@contextlib.contextmanager
def saying(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that answers anything with these bytes, ``pause`` seconds between the parts."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Said) as server:
        server.daemon_threads, server.parts, server.pause = True, parts, pause
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/a.tif"
        finally:
            server.shutdown()


OK = b"HTTP/1.1 206 OK\r\nContent-Length: 10\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        OK + b"Content-Range: bytes 0-9/\xb2\r\n\r\n0123456789",
        OK + b"Content-Range: bytes 0-9/" + b"9" * 5000 + b"\r\n\r\n0123456789",
        OK + b"Content-Range: bytes 0-9/*\r\n\r\n0123456789",
        OK + b"Content-Range: a\r\n b\x1b[2J/10\r\n\r\n0123456789",
        b"HTTP/1.1 \x1b[2J\r\n\r\n",
    ],
)
def test_senseless_headers_fail_in_one_printable_line(answer: bytes) -> None:
    with saying(answer) as url, pytest.raises(ReadFailed) as caught:
        Cog(url, READS)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize("where", ["header", "body"])
def test_an_answer_that_drips_is_given_up(where: str) -> None:
    head = OK.replace(b"10", b"60") + b"Content-Range: bytes 0-59/60\r\n\r\n"
    fast, dripped = (head, b"x" * 60) if where == "body" else (b"", head + b"x" * 60)
    parts = [fast, *(bytes([byte]) for byte in dripped)]
    hasty = replace(READS, timeout=0.6)
    with saying(*parts, pause=0.05) as url, pytest.raises(Hiccup, match="timed out"):
        fetch(url, [(0, 60)], False, hasty)


def test_a_scheme_without_transport_is_refused() -> None:
    with pytest.raises(ReadFailed, match="gs cannot be read"):
        fetch("gs://bucket/a.tif", [(0, 10)], False, READS)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server of moto with one image, ``s3://scenes/a b.tif``."""
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    path = write_image(tmp_path / "a b.tif", PIXELS, north_up(500_000, 5_000_000, 10))
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="scenes")
    client.upload_file(str(path), "scenes", "a b.tif")
    yield "s3://scenes"
    server.stop()


PIXELS = np.arange(1, 200 * 150 + 1, dtype="u2").reshape(200, 150)


def test_s3(bucket: str) -> None:
    image = Cog(f"{bucket}/a%20b.tif", replace(READS, hosts=("scenes",)))
    assert image.epsg == int(UTM33.removeprefix("EPSG:"))
    np.testing.assert_array_equal(read_window(image, (0, 0), (200, 150)), PIXELS)
    with pytest.raises(ReadFailed, match="no such object"):
        Cog(f"{bucket}/none.tif", READS)
