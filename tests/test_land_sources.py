"""Which data serves as land: cartopy's files, a download, the fallback; and what may be wrong."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import cartopy
import pytest
import shapefile
from cartopy.io.shapereader import NEShpDownloader
from coasts import WORLD_ATLAS, near
from loopback import Handler, Loopback, running

from neve.errors import AskPerson
from neve.land import load_land

PHYSICAL = Path("shapefiles", "natural_earth", "physical")
SQUARE = [(10, 40), (10, 41), (11, 41), (11, 40), (10, 40)]
ISLET = [(20, 40), (20, 40.1), (20.1, 40.1), (20, 40)]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which cartopy looks, empty."""
    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path)
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path / "none")
    return tmp_path


class Archive(Loopback):
    """Natural Earth's download site: ``pages`` by file name, anything else is a 404."""

    def __init__(self) -> None:
        super().__init__(_Page)
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []


class _Page(Handler):
    server: Archive

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        body = self.server.pages.get(name)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")


@pytest.fixture
def archive(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """A local download site that cartopy is told to use."""
    site = Archive()
    template = str(Path("{config[data_dir]}") / PHYSICAL / "ne_{resolution}_{name}.shp")
    url = f"{site.url}/ne_{{resolution}}_{{name}}.zip"
    downloader = NEShpDownloader(url_template=url, target_path_template=template)
    monkeypatch.setitem(cartopy.config["downloaders"], ("shapefiles", "natural_earth"), downloader)
    monkeypatch.setenv("no_proxy", "*")
    with running(site):
        yield site


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
