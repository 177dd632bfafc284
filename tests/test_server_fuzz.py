"""The map server against made-up requests: its whole OpenAPI, and addresses that try to escape."""

import os
import shutil
from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from conftest import BY, REGION, Tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from map_server import AFFINE, running

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.places import open_repository
from neve.serving import answers
from neve.serving.app import create_app

pytestmark = pytest.mark.filterwarnings(AFFINE)
FULL = os.environ.get("NEVE_TORTURE") == "full"
QUICK = settings(
    max_examples=200 if FULL else 5,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
SECRET = "canary-in-a-file"
EXPECTED = {200, 304, 404, 405, 422}


@pytest.fixture(scope="module")
def served(tmp_path_factory, scenes):
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(scenes, folder / "scenes")
    (folder / "tiny.yaml").write_text(REGION.replace("[NDVI, EVI]", "[NDVI]"), "utf-8")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("the page")
    (folder / "page" / "link.txt").symlink_to(folder / "secret.txt")
    tiny = Tiny(folder)
    report = build_month(tiny.plan(), tiny.cube(), Inline(), BY)
    app = create_app(open_repository(tiny.store), tiny.store, ["*"], folder / "page")
    with running(app) as client:
        yield SimpleNamespace(client=client, snapshot=report.snapshot)


def sound(answer) -> None:
    """An answer that was foreseen, tells nothing of the server, and that no other page may read."""
    assert answer.status_code in EXPECTED, (answer.status_code, answer.content[:500])
    for name, value in answers.SECURITY.items():
        assert "".join(answer.headers[name.lower()]) == value
    assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert len(answer.content) < 2**20
    for word in (SECRET, "Traceback", "site-packages"):
        assert word.encode() not in answer.content


def test_whatever_the_openapi_allows_and_forbids_is_answered(served):
    schema = schemathesis.openapi.from_url(f"{served.client.base_url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 9
    asked = 0
    for operation in operations:
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @QUICK
            def ask(case):
                sound(case.call(headers={"Origin": "https://elsewhere.test"}))

            with suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
                ask()
                asked += 1
    assert asked >= 14


HOSTILE = st.sampled_from(
    ["..", "../secret.txt", "..%2fsecret.txt", "%2e%2e", "....//", "/etc/passwd", "\\..", "%00",
     "~", "file:///etc/passwd", "main/../..", "\u202emain", "0" * 64, "-1", "1e999", "NaN", "", " "]
)  # fmt: skip


def mixed(*right: str) -> st.SearchStrategy[str]:
    return st.sampled_from(right) | HOSTILE | st.text(max_size=80)


@given(data=st.data())
@QUICK
def test_addresses_that_try_to_escape_reach_nothing(served, data):
    bent = served.snapshot[:-1] + data.draw(st.sampled_from("0AZ!%é"))
    ref = mixed("main", served.snapshot, bent)
    whole = mixed("0", "1", "12", "22", "23", "99999999999999999999")
    shapes = [
        ("tiles", ref, mixed("NDVI", "red,green,blue"), whole, whole, whole.map("{}.png".format)),
        ("legend", ref, mixed("NDVI.png", "NDVI.json", "..png")),
        (
            "zarr",
            ref,
            mixed("1x/NDVI/c/0/0/0", "zarr.json", "../repo", "refs/branch.main/ref.json"),
        ),
        ("page", mixed("index.html", "link.txt", "../secret.txt")),
        ("vendor", mixed("a.js", "../secret.txt")),
        ("api", mixed("cube", "pixel", "diff", "history", "blocks", "months")),
    ]
    parts = [p if isinstance(p, str) else data.draw(p) for p in data.draw(st.sampled_from(shapes))]
    keys = st.sampled_from(["at", "month", "lo", "hi", "colormap", "from", "to", "lon", "lat", "x"])
    asked = data.draw(st.dictionaries(keys, mixed("main", "2024-06", "1", "gray"), max_size=3))
    safe = data.draw(st.sampled_from(["", "/%.", "/.%:"]))
    try:
        answer = served.client.get("/" + "/".join(quote(p, safe) for p in parts), params=asked)
    except (ValueError, httpx.InvalidURL):
        return  # the client itself refuses to send it
    sound(answer)


@pytest.mark.parametrize(
    "path",
    ["/page/../secret.txt", "/page/..%2fsecret.txt", "/page/%2e%2e/secret.txt", "/page/link.txt",
     "/page//etc/passwd", "/page/..%5csecret.txt", "/zarr/main/../../secret.txt",
     "/zarr/main/..%2f..%2fsecret.txt", "/zarr/main/1x/NDVI/c/0/0/../../../../../secret.txt"],
)  # fmt: skip
def test_no_path_leads_out(served, path):
    """Raw: the client's own tidying of paths is passed by."""
    answer = served.client.get(served.client.base_url.copy_with(raw_path=path.encode()))
    assert answer.status_code in (404, 422), answer.text
    sound(answer)


@pytest.mark.parametrize("more", ["width=99999", "height=99999", "format=tiff", "style=x"])
def test_sizes_and_formats_cannot_be_asked_for(served, more):
    assert served.client.get(f"/tiles/main/NDVI/5/11/17.png?{more}").status_code == 422


def test_no_other_origin_may_read_answers(served):
    asked = {"Origin": "https://elsewhere.test", "Access-Control-Request-Method": "GET"}
    sound(served.client.options("/api/cube", headers=asked))
    sound(served.client.get("/api/cube", headers=asked))
