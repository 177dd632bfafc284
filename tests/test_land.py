"""Land and the enumeration of blocks, against loops over single boxes and single points."""

import io
import json
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import cartopy
import numpy as np
import pytest
import shapefile
import shapely
from cartopy.io.shapereader import NEShpDownloader
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from neve.errors import AskPerson
from neve.grid import Grid, project_bounds, snap
from neve.land import Land, enumerate_blocks, load_land, touching

ROOT = Path(__file__).parents[1]
WORLD_ATLAS = ROOT / "node_modules" / "world-atlas"
SHARED = ROOT.parent / "shared" / "natural-earth"
PHYSICAL = Path("shapefiles", "natural_earth", "physical")
SQUARE = [(10, 40), (10, 41), (11, 41), (11, 40), (10, 40)]
ISLET = [(20, 40), (20, 40.1), (20.1, 40.1), (20, 40)]


@pytest.fixture(scope="module")
def world_atlas(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """The fallback, loaded where cartopy has nothing."""
    if not WORLD_ATLAS.exists():
        pytest.skip("node_modules is absent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cartopy.config, "data_dir", tmp_path_factory.mktemp("empty"))
        patch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path_factory.mktemp("empty"))
        land = load_land(WORLD_ATLAS)
    assert land.source == "world-atlas 2.0.2 land-10m"
    return land


@pytest.fixture(scope="module")
def natural_earth() -> Land:
    """The real shapefile, through cartopy."""
    if not SHARED.exists():
        pytest.skip("../shared is absent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cartopy.config, "pre_existing_data_dir", SHARED)
        land = load_land()
    assert land.source.startswith("cartopy: natural_earth 10m land")
    return land


@pytest.fixture(scope="module", params=["world_atlas", "natural_earth"])
def land(request: pytest.FixtureRequest) -> Land:
    """The whole world from each source that this machine has."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which cartopy looks, empty."""
    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path)
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path / "none")
    return tmp_path


class Archive:
    """Natural Earth's download site: ``pages`` by file name, anything else is a 404."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                archive.asked.append(name)
                body = archive.pages.get(name)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def archive(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """A local download site that cartopy is told to use."""
    site = Archive()
    template = str(Path("{config[data_dir]}") / PHYSICAL / "ne_{resolution}_{name}.shp")
    url = f"http://127.0.0.1:{site.server.server_port}/ne_{{resolution}}_{{name}}.zip"
    downloader = NEShpDownloader(url_template=url, target_path_template=template)
    monkeypatch.setitem(cartopy.config["downloaders"], ("shapefiles", "natural_earth"), downloader)
    monkeypatch.setenv("no_proxy", "*")
    thread = threading.Thread(target=site.server.serve_forever, args=(0.05,))
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def write_shapes(folder: Path, name: str, ring: list[tuple[float, float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with shapefile.Writer(folder / name, shapeType=shapefile.POLYGON) as writer:
        writer.field("id")
        writer.poly([ring])
        writer.record("1")
    return folder / f"{name}.shp"


def zipped(folder: Path, name: str, ring: list[tuple[float, float]]) -> bytes:
    shp = write_shapes(folder, name, ring)
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for suffix in (".shp", ".shx", ".dbf"):
            archive.write(shp.with_suffix(suffix), f"{name}{suffix}")
    return buffer.getvalue()


def near(land: Land, lon: float, lat: float, half: float = 0.01) -> bool:
    return bool(touching(land, np.array([[lon - half, lat - half, lon + half, lat + half]]))[0])


# --- which data serves -------------------------------------------------------------------


def test_cartopys_files_serve_with_minor_islands_where_they_are(data_dir: Path) -> None:
    write_shapes(data_dir / PHYSICAL, "ne_10m_land", SQUARE)
    alone = load_land(WORLD_ATLAS)
    assert alone.source == "cartopy: natural_earth 10m land (minor islands absent)"
    assert near(alone, 10.5, 40.5) and not near(alone, 20.05, 40.05)
    write_shapes(data_dir / PHYSICAL, "ne_10m_minor_islands", ISLET)
    both = load_land(WORLD_ATLAS)
    assert both.source == "cartopy: natural_earth 10m land + minor islands"
    assert near(both, 10.5, 40.5) and near(both, 20.05, 40.05)


def test_a_download_happens_only_when_allowed_and_only_once(
    archive: Archive, tmp_path: Path
) -> None:
    archive.pages["ne_10m_land.zip"] = zipped(tmp_path / "made", "ne_10m_land", SQUARE)
    with pytest.raises(AskPerson):
        load_land()
    assert archive.asked == []
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as seen:
        land = load_land(allow_download=True)
    assert seen == []
    assert land.source == "cartopy: natural_earth 10m land (minor islands absent)"
    assert near(land, 10.5, 40.5)
    assert warnings.filters == filters
    assert load_land().source == land.source
    assert archive.asked == ["ne_10m_land.zip", "ne_10m_minor_islands.zip"]


@pytest.mark.parametrize("page", [None, b"<html>log in first</html>", b"cut"])
def test_a_failed_download_falls_back(archive: Archive, page: bytes | None, tmp_path: Path) -> None:
    if page == b"cut":
        page = zipped(tmp_path / "made", "ne_10m_land", SQUARE)[:-100]
    if page is not None:
        archive.pages["ne_10m_land.zip"] = page
    with pytest.raises(AskPerson):
        load_land(allow_download=True)
    if WORLD_ATLAS.exists() and page is None:
        source = load_land(WORLD_ATLAS, allow_download=True).source
        assert source == "world-atlas 2.0.2 land-10m"
    assert set(archive.asked) == {"ne_10m_land.zip"}


def test_nothing_there_says_where_it_looked_and_what_to_do(data_dir: Path) -> None:
    with pytest.raises(AskPerson, match=r"npm ci.*CARTOPY_DATA_DIR") as caught:
        load_land(data_dir / "no-such-folder")
    assert str(data_dir) in str(caught.value)
    assert "no-such-folder" in str(caught.value)


def test_a_broken_file_is_an_error_and_no_reason_to_fall_back(data_dir: Path) -> None:
    path = write_shapes(data_dir / PHYSICAL, "ne_10m_land", SQUARE)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(AskPerson, match=r"ne_10m_land\.shp.*delete it"):
        load_land(WORLD_ATLAS)


@pytest.mark.parametrize("text", ["{", "{}", '{"arcs": [], "objects": {"land": {}}}'])
def test_a_broken_fallback_is_an_error(data_dir: Path, text: str) -> None:
    (data_dir / "land-10m.json").write_text(text)
    (data_dir / "package.json").write_text('{"version": "2.0.2"}')
    with pytest.raises(AskPerson, match="npm ci"):
        load_land(data_dir)


# --- the land ----------------------------------------------------------------------------

LAND_AT = {
    "Malta": (14.4, 35.9),
    "Azores": (-25.5, 37.78),
    "Malé": (73.509, 4.175),
    "Funafuti": (179.195, -8.52),
    "Bermuda": (-64.78, 32.3),
    "Helgoland": (7.885, 54.182),
    "Venice": (12.335, 45.437),
    "Johnston Atoll": (-169.53, 16.73),
    "Wrangel Island at 180°": (180, 71.2),
    "Taveuni at 180°": (-180, -16.85),
    "Chukotka, east of 180°": (-179, 67),
    "Chukotka, west of 180°": (179, 68),
    "South Pole": (5, -89.9),
    "inland, far from any coast": (85, 48),
}
SEA_AT = {
    "Atlantic": (-40, 30),
    "Caspian": (51, 42),
    "Arctic": (0, 89.9),
    "Pacific at 180°": (180, 10),
    "beside Eurasia's cut": (-179.5, 60),
    "Southern Ocean": (100, -55),
}


@pytest.mark.parametrize("place", LAND_AT)
def test_small_islands_and_cut_land_are_there(land: Land, place: str) -> None:
    assert near(land, *LAND_AT[place])


@pytest.mark.parametrize("place", SEA_AT)
def test_the_sea_is_not_land(land: Land, place: str) -> None:
    assert not near(land, *SEA_AT[place])


def test_land_is_valid_and_within_the_antimeridian(land: Land) -> None:
    assert shapely.is_valid(land.polygons).all()
    assert np.abs(shapely.bounds(land.polygons)[:, [0, 2]]).max() < 180 + 1e-9
    kinds, counts = np.unique(shapely.get_type_id(land.polygons), return_counts=True)
    assert set(kinds) <= {shapely.GeometryType.POINT, shapely.GeometryType.LINESTRING,
                          shapely.GeometryType.POLYGON}  # fmt: skip
    assert counts[-1] > 4000


def test_every_island_of_the_fallback_survives(world_atlas: Land) -> None:
    """Each face's every vertex, summed up step by step in plain Python, lies on the land."""
    topology = json.loads((WORLD_ATLAS / "land-10m.json").read_text())
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    faces = topology["objects"]["land"]["geometries"][0]["arcs"]
    vertices = []
    for arc in (arc for face in faces for ring in face for arc in ring):
        i = j = 0
        for step_i, step_j in topology["arcs"][arc if arc >= 0 else ~arc]:
            i, j = i + step_i, j + step_j
            vertices.append((dx + kx * i, dy + ky * j))
    assert len(faces) == 4061 and len(vertices) > 400_000
    at = np.array(vertices)
    tiny = np.concatenate([at - 1e-6, at + 1e-6], axis=1)
    assert touching(world_atlas, tiny, buffer=0).all()


def test_the_fallback_has_the_coastline_of_natural_earth(
    world_atlas: Land, natural_earth: Land
) -> None:
    lon, lat = np.meshgrid(np.arange(-180, 180, 0.75), np.arange(-90, 84, 0.75))
    boxes = np.stack([lon, lat, lon + 0.75, lat + 0.75], axis=-1).reshape(-1, 4)
    exact = touching(natural_earth, boxes, buffer=0)
    assert 30_000 < exact.sum() < 60_000
    assert (exact & ~touching(world_atlas, boxes)).sum() == 0
    assert (touching(natural_earth, boxes) != touching(world_atlas, boxes)).sum() < 10


# --- many boxes at once ------------------------------------------------------------------


def one_by_one(land: Land, boxes: np.ndarray, buffer: float) -> list[bool]:
    """Each box as it stands, a turn to the left and a turn to the right, against each polygon."""
    answers = []
    for west, south, east, north in boxes.tolist():
        end = east + 360 if east < west else east
        copies = [
            shapely.box(west + k - buffer, south - buffer, end + k + buffer, north + buffer)
            for k in (-720, -360, 0, 360, 720)
        ]
        answers.append(any(polygon.intersects(c) for polygon in land.polygons for c in copies))
    return answers


SMALL_LAND = Land(
    np.array(
        [
            shapely.box(-180, -20, -178, -15),
            shapely.box(179, -20, 180, -16),
            shapely.box(177, -60, 180, -30),
            shapely.box(-180, 10, -179, 70),
            shapely.box(-30, 0, 40, 60).difference(shapely.box(-10, 20, 20, 50)),
            shapely.box(-180, -90, 180, -80),
            shapely.Point(100, 10),
            shapely.LineString([(-100, 30), (-99, 31)]),
        ]
    ),
    "made up",
)
# Quarters of a degree: sums are exact, so boxes that only just touch are compared too.
quarter = st.integers(0, 4).map(lambda n: n / 4)
box = st.tuples(
    st.one_of(st.integers(-800, 800).map(lambda n: n / 4), st.sampled_from([-180.0, 178, 180])),
    st.integers(-360, 340).map(lambda n: n / 4),
    st.one_of(st.integers(1, 40), st.integers(1, 1600)).map(lambda n: n / 4),
    st.integers(1, 40).map(lambda n: n / 4),
    st.booleans(),
)


@settings(deadline=None)
@given(st.lists(box, min_size=1, max_size=20), quarter)
@example([(170.0, 30.0, 10.0, 1.0, False), (180.0, -40.0, 1.0, 1.0, False)], 0.0)
@example([(-190.0, 30.0, 10.0, 1.0, False), (-180.0, -40.0, 1.0, 1.0, False)], 0.0)
def test_touching_is_each_box_against_each_polygon(
    made: list[tuple[float, float, float, float, bool]], buffer: float
) -> None:
    boxes = []
    for west, south, width, height, wrapped in made:
        east = west + width
        if wrapped and east > 180 and west <= 180 and width < 360:
            east -= 360  # the other way to write a box over the antimeridian
        boxes.append([west, south, east, south + height])
    answers = touching(SMALL_LAND, np.array(boxes), buffer)
    assert answers.dtype == np.bool_
    assert answers.tolist() == one_by_one(SMALL_LAND, np.array(boxes), buffer)


def test_touching_on_the_real_coast(land: Land) -> None:
    rng = np.random.default_rng(7)
    west, south = rng.uniform(-181, 181, 200), rng.uniform(-80, 83, 200)
    size = rng.uniform(0.05, 2, 200)
    boxes = np.stack([west, south, west + size, south + size], axis=1)
    boxes[:40, [0, 2]] += 180 - boxes[:40, [0]] - rng.uniform(0, size[:40, None])
    shapely.prepare(land.polygons)
    answers = touching(land, boxes, 0.02)
    assert answers.tolist() == one_by_one(land, boxes, 0.02)
    assert 50 < answers.sum() < 150


def test_no_boxes_and_no_land() -> None:
    assert touching(SMALL_LAND, np.empty((0, 4))).shape == (0,)
    nothing = Land(np.array([], dtype=object), "none")
    assert touching(nothing, np.array([[0.0, 0, 1, 1]])).tolist() == [False]


# --- the blocks of a grid ----------------------------------------------------------------

GRIDS = {
    "Dalmatia in UTM": snap("EPSG:32633", 120, (60, 0), (4.4e5, 4.75e6, 7.1e5, 5.02e6)),
    "Fiji over 180° in UTM": snap("EPSG:32760", 100, (0, 0), (6e5, 7.9e6, 1.1e6, 8.3e6)),
    "Fiji over 180° in degrees": snap(
        "EPSG:4326", 0.01, (0, 0), project_bounds("EPSG:4326", (177.3, -20, -178.2, -15))
    ),
    "Antarctic with its pole": snap("EPSG:3031", 5000, (0, 0), (-4e6, -4e6, 4e6, 4e6)),
    "Arctic with its pole": snap("EPSG:3413", 5000, (0, 0), (-3.1e6, -3.3e6, 2.9e6, 3e6)),
    "the world": snap("EPSG:4326", 0.25, (0, 0), (-180, -90, 180, 90)),
    "wider than the world": snap("EPSG:6933", 25000, (0, 0), (-2e7, -7.5e6, 2e7, 7.5e6)),
}


def samples(grid: Grid, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """lon, lat of n × n points over a block, its edges included."""
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(np.linspace(left, right, n), np.linspace(top, bottom, n))
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    with np.errstate(invalid="ignore"):  # inf outside the projection
        return (lon + 180) % 360 - 180, lat


@pytest.fixture(scope="module")
def union(land: Land) -> shapely.Geometry:
    """The land as one prepared geometry, for asking point by point."""
    whole = shapely.union_all(land.polygons)
    shapely.prepare(whole)
    return whole


@pytest.mark.parametrize("name", GRIDS)
def test_no_block_with_land_is_lost_and_the_open_sea_is_left_out(
    land: Land, union: shapely.Geometry, name: str
) -> None:
    grid = GRIDS[name]
    size = grid.width // 23
    every = list(grid.blocks(size))
    kept = [every.index(block) for block in enumerate_blocks(grid, size, land)]
    assert kept == sorted(kept)
    hits = [shapely.contains_xy(union, *samples(block.grid)).any() for block in every]
    assert {n for n, hit in enumerate(hits) if hit} <= set(kept)
    left_out = len(every) - len(kept)
    assert left_out >= 0.3 * (len(every) - sum(hits)) > 0


def test_without_land_and_area_all_blocks_in_order() -> None:
    grid = GRIDS["Fiji over 180° in UTM"].piece(7, 11, 1003, 777)
    assert enumerate_blocks(grid, 100, None) == list(grid.blocks(100))
    assert enumerate_blocks(grid, 5000, None) == list(grid.blocks(5000))


def test_land_and_area_both_count() -> None:
    grid = snap("EPSG:4326", 0.1, (0, 0), (170, -25, 190, -5))
    area = shapely.box(178.55, -18.05, 182.45, -16.05)
    blocks = enumerate_blocks(grid, 10, SMALL_LAND, area)
    assert {(block.grid.bounds[0], block.grid.bounds[3]) for block in blocks} == {
        (x, y) for x in (178, 179, 180, 181, 182) for y in (-16, -17, -18)
    }
    halves = shapely.union(
        shapely.box(178.55, -18.05, 180, -16.05), shapely.box(-180, -18.05, -177.55, -16.05)
    )
    assert enumerate_blocks(grid, 10, SMALL_LAND, halves) == blocks
    elsewhere = shapely.box(171.05, -10.95, 171.15, -10.05)
    assert enumerate_blocks(grid, 10, SMALL_LAND, elsewhere) == []
    assert len(enumerate_blocks(grid, 10, None, elsewhere)) == 1


def test_blocks_partly_outside_the_projection_are_kept() -> None:
    grid = snap("ESRI:54009", 100_000, (0, 0), (-1.8e7, -9e6, 1.8e7, 9e6))
    kept = enumerate_blocks(grid, 20, Land(np.array([shapely.Point(1, 1)]), "one islet"))
    outside = [b for b in grid.blocks(20) if not np.isfinite(samples(b.grid, 2)).all()]
    inside = {b.key for b in kept} - {b.key for b in outside}
    assert {b.key for b in outside} <= {b.key for b in kept}
    assert len(outside) > 20 and len(inside) == 1


@pytest.mark.parametrize("name", ["Fiji over 180° in UTM", "Fiji over 180° in degrees", "Arctic"])
def test_a_block_over_the_antimeridian_does_not_reach_round_the_earth(name: str) -> None:
    arctic = Grid("EPSG:3413", 1000, -1.8e6, 1.8e6, 500, 500)  # north of Bering Strait
    grid = GRIDS.get(name, arctic)
    lons, _ = samples(grid)
    assert lons.min() < -170 and lons.max() > 170
    far = shapely.LineString([(0, -90), (0, 90)])
    assert enumerate_blocks(grid, 50, None, far) == []
    assert len(enumerate_blocks(grid, 50, None, shapely.LineString([(180, -90), (180, 90)]))) > 0


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
@pytest.mark.parametrize("left", [-8e5, -5e5, -1e5, 0])
def test_the_block_round_a_pole_reaches_it(crs: str, pole: int, left: float) -> None:
    grid = Grid(crs, 1e4, left - 1e6, 1.7e6, 300, 300)  # blocks of 1000 km
    kept = enumerate_blocks(grid, 100, None, shapely.Point(77, pole))
    assert "1-1" in {block.key for block in kept}
    assert len(kept) < 9


CORNERS = [
    ("EPSG:32633", (1e5, 0), (9e5, 9.3e6)),
    ("EPSG:32701", (1e5, 1e6), (9e5, 1e7)),
    ("EPSG:3031", (-4e6, -4e6), (4e6, 4e6)),
    ("EPSG:3413", (-4e6, -4e6), (4e6, 4e6)),
    ("EPSG:3035", (1e6, 1e6), (7e6, 6e6)),
    ("EPSG:4326", (100, -90), (250, 80)),
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_block_is_kept_for_any_point_in_it(data: st.DataObject) -> None:
    """However large the blocks, and over a pole and 180°; an area is tested with no buffer."""
    crs, low, high = data.draw(st.sampled_from(CORNERS))
    share = st.floats(0, 1)
    left = low[0] + data.draw(share) * (high[0] - low[0])
    top = low[1] + data.draw(share) * (high[1] - low[1])
    size = data.draw(st.floats(1e-4, 0.12)) * (high[0] - low[0])
    if crs in {"EPSG:3031", "EPSG:3413"} and data.draw(st.booleans()):
        left, top = -size * data.draw(share), size * data.draw(share)  # a block with the pole
    grid = Grid(crs, size / 16, left, top, 40, 40)
    block = data.draw(st.sampled_from([next(grid.blocks(16)), *grid.blocks(16)]))
    inside = np.linspace(1e-6, 1 - 1e-6, 65)
    west, south, east, north = block.grid.bounds
    x, y = np.meshgrid(west + inside * (east - west), south + inside * (north - south))
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    farthest = [lat.argmin(), lat.argmax(), lon.argmin(), lon.argmax()]
    n = data.draw(st.one_of(st.integers(0, lon.size - 1), st.sampled_from(farthest)))
    point = shapely.Point(lon.flat[n], lat.flat[n])
    assert block in enumerate_blocks(grid, 16, None, point)
