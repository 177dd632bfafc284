"""What the map server is asked is held against its form before any version is opened."""

import pytest
from map_server import AFFINE, map_server

from neve.serving.views import Views

pytestmark = pytest.mark.filterwarnings(AFFINE)
PIXEL = "/api/pixel?lon=12.07&lat=45.53&variable=red"
EDR = "/edr/main/position?coords=POINT(12.07 45.53)&parameter-name=red"
ARABIC = "%D9%A2%D9%A0%D9%A2%D9%A4-%D9%A0%D9%A6"
WRONG = {
    "query.at": [f"/api/cube?at={ref}" for ref in ("-m", "..", "a/b", "m%0A", "%C3%A9", 80 * "r")],
    "query.from": ["/api/diff?from=.."],
    "query.to": ["/api/diff?from=main&to=.."],
    "query.month": [f"/api/blocks?month={m}" for m in ("2024-6", "2024-06-01", "x2024-06", ARABIC)],
    "query.variable": [f"/api/pixel?lon=0&lat=0&variable={n}" for n in ("1a", "a-b", "", 64 * "a")],
    "query.lon": [f"/api/pixel?lat=0&variable=a&lon={n}" for n in ("-180.1", "540.1", "nan", "x")],
    "query.lat": [f"/api/pixel?lon=0&variable=a&lat={n}" for n in ("-90.1", "90.1", "inf", "")],
    "query.level": [f"{PIXEL}&level={level}" for level in ("", "..", "1x%20", 41 * "1")],
    "query.coords": ["/edr/main/position?parameter-name=a&coords=POINT(0 0)" + 72 * "+"],
    "query.parameter-name": [
        f"/edr/main/position?coords=POINT(0 0)&parameter-name={n}" for n in (",a", "a;b", 192 * "a")
    ],
    "query.datetime": [
        f"{EDR}&datetime={when}" for when in ("2024", "2024-06-1", "..x", "../../..", ARABIC)
    ],
    "query.f": [f"{EDR}&f={form}" for form in ("", "netcdf", "xcsv", "csvx")],
    "query.lo": [f"/legend/main/red.png?lo={n}" for n in ("-1.1e9", "nan", "-inf")],
    "query.hi": [f"/tiles/main/red/5/11/17.png?hi={n}" for n in ("1.1e9", "nan", "inf")],
    "query.colormap": [f"/legend/main/red.png?colormap={n}" for n in ("", "a-b", 41 * "a")],
    "path.ref": [f"/zarr/{ref}/zarr.json" for ref in (".m", "-m", 80 * "r")],
    "path.variable": [
        *(f"/tiles/main/{name}/5/11/17.png" for name in (",a", "a+b", 192 * "a")),
        *(f"/legend/main/{name}.png" for name in ("1a", "red,green", 64 * "a")),
    ],
    "path.form": [f"/legend/main/red.{form}" for form in ("svg", "xpng", "pngx")],
    "path.z": [f"/tiles/main/red/{z}/0/0.png" for z in (-1, 23, "9" * 30, "1.5")],
    "path.y": ["/tiles/main/red/5/-1/0.png", "/tiles/main/red/5/x/0.png"],
    "path.x": ["/tiles/main/red/5/0/-1.png"],
    "path.key": [
        f"/zarr/main/{key}"
        for key in ("x", ".a/zarr.json", "a/.b/c/0", "a/b/c/0x", "a/b/c/" + 10 * "1",
                    "a/b/c/%D9%A0", "..%2F..%2Fetc%2Fpasswd", 300 * "a" + "/zarr.json")
    ],
    "query.expression": [
        f"{path}expression=1"
        for path in ("/api/cube?", "/api/history?", "/api/months?", "/api/blocks?", f"{PIXEL}&",
                     "/api/diff?from=main&", f"{EDR}&", "/tiles/main/red/5/11/17.png?",
                     "/legend/main/red.png?", "/zarr/main/zarr.json?")
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def client(store):
    with map_server(store) as client:
        yield client


@pytest.mark.parametrize(
    ("where", "path"), [(w, path) for w, all_ in WRONG.items() for path in all_]
)
def test_what_has_another_form_is_refused_before_a_version_is_opened(
    client, monkeypatch, where, path
):
    monkeypatch.setattr(Views, "among_others", None)
    answer = client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"].startswith(f"{where}: "), answer.text


@pytest.mark.parametrize("place", ["0/1/0", "0/0/1", "3/8/0", "3/0/8", "22/0/4194304"])
def test_tiles_beyond_the_map_are_refused_before_a_version_is_opened(client, monkeypatch, place):
    monkeypatch.setattr(Views, "among_others", None)
    assert client.get(f"/tiles/main/red/{place}.png").status_code == 404


def test_of_many_mistakes_a_few_are_told(client):
    answer = client.get("/api/cube?" + "&".join(f"a{n}" for n in range(1000)))
    assert answer.status_code == 422
    assert answer.json()["error"].count("query.") == 5


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_is_no_page_that_loads_from_elsewhere(client, path):
    assert client.get(path).status_code == 404
