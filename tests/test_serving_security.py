"""What each answer of the map server tells a browser to leave alone, whoever asks, and how."""

import http.client
import re
import socket

import pytest
from map_server import AFFINE, secure
from served_cube import client, cube

__all__ = ["client", "cube"]
pytestmark = pytest.mark.filterwarnings(AFFINE)


def test_it_is_read_only_and_answers_its_own_page_alone(client):
    assert client.post("/api/cube").status_code == 405
    assert client.delete("/zarr/main/zarr.json").status_code == 405
    answer = client.get("/api/cube", headers={"Origin": "https://example.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    # a page elsewhere whose name was made to point here
    refused = client.get("/api/cube", headers={"Host": "evil.test"})
    assert refused.status_code == 400
    assert secure(refused.headers)
    assert "text/html" in client.get("/").headers["content-type"]


def test_answers_let_a_browser_load_nothing_from_elsewhere(client):
    headers = client.get("/").headers
    parts = headers["content-security-policy"].split("; ")
    policy = {name: set(said) for name, *said in map(str.split, parts)}
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == {"'none'"}
    assert policy.pop("frame-ancestors") == {
        "'self'", "http://localhost:*", "http://127.0.0.1:*"
    }  # fmt: skip
    scripts = policy.pop("script-src")
    assert "'self'" in scripts
    assert all(re.fullmatch(r"'self'|'sha256-[\w+/=]+'", source) for source in scripts)
    assert policy.pop("style-src") == {"'self'", "'unsafe-inline'"}
    assert set().union(*policy.values()) == {"'none'", "'self'", "data:", "blob:"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


def test_no_other_protocol_is_spoken(client):
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    answer = client.get(
        "/api/cube", headers=asked | {"Sec-WebSocket-Key": "bmV2ZW5ldmVuZXZlbmV2ZQ=="}
    )
    assert answer.status_code == 200
    assert secure(answer.headers)


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\nA: " + b"a" * 99_999])
def test_what_is_no_request_is_answered_with_the_headers_too(client, sent):
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as one:
        one.sendall(sent + b"\r\n\r\n")
        answer = http.client.HTTPResponse(one)
        answer.begin()
        assert answer.status == 400
        assert secure(dict(answer.getheaders()))
