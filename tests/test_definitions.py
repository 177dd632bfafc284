"""The Dagster layer: five assets over region × month, and what a run's page shows."""

import base64
import io

import dagster as dg
import pytest
import zarr
from conftest import PROJECT
from PIL import Image
from upath import UPath
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from assets import month_assets
from neve.build.checks import NAMES
from neve.errors import AskPerson, RegionInvalid
from pipelines.definitions import definitions
from pipelines.month import QUIET
from pipelines.partitions import month_partitions, partition_key
from pipelines.settings import resources
from resources.handover import JsonHandover

# In the order in which a person looks.
PAGE = [
    "picture", "map", "quicklook", "valid fraction", "median clear observations", "scenes used",
    "bytes", "chunks", "seconds", "levels", "snapshot", "parent", "scene ids",
]  # fmt: skip


def stored_sizes(repository, level):
    """Chunks of a level's arrays that are stored, and their bytes, read one by one."""
    store = repository.readonly_session("main").store
    held = zarr.open_group(store, path=level, mode="r").arrays()
    cubes = [name for name, array in held if array.ndim > 2]
    keys = [key for name in cubes for key in sync(listed(store, f"{level}/{name}"))]
    data = [sync(store.get(key, default_buffer_prototype())).to_bytes() for key in keys]
    return len(data), sum(map(len, data))


async def listed(store, prefix):
    return [key async for key in store.list_prefix(prefix) if "/c/" in key]


@pytest.fixture
def wired(tiny, tmp_path):
    return resources(
        {
            "NEVE_REGIONS": str(tiny.file),
            "NEVE_WORK": str(tmp_path / ".neve"),
            "NEVE_WORKERS": "-1",
            "NEVE_LAND": str(PROJECT / "node_modules/world-atlas"),
        }
    )


def materialise(tiny, wired, month="2024-06", **more):
    return dg.materialize(
        month_assets(month_partitions([tiny.region])),
        partition_key=partition_key("tiny", month),
        resources=wired,
        run_config=QUIET,
        raise_on_error=False,
        **more,
    )


def test_the_definitions_load_with_their_five_assets():
    found = definitions()
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    assert keys == {"scenes", "blocks", "composite", "indices", "overviews"}
    graph = found.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.kinds, key
        assert node.owners, key
        assert node.description, key
        assert isinstance(node.partitions_def, dg.MultiPartitionsDefinition)
    assert found.resolve_job_def("month")


def test_a_run_shows_what_it_did(tiny, wired):
    result = materialise(tiny, wired)
    assert result.success
    shown = {
        m.asset_key.to_user_string(): m.metadata
        for node in ("scenes", "blocks", "cube")
        for m in result.asset_materializations_for_node(node)
    }
    assert set(shown) == {"scenes", "blocks", "composite", "indices", "overviews"}
    assert shown["scenes"]["scenes"].value == 3
    assert shown["blocks"]["blocks"].value == 9
    tip = tiny.cube().tip()
    assert {shown[key]["snapshot"].value for key in ("composite", "indices", "overviews")} == {tip}
    assert 0.5 < shown["composite"]["valid fraction"].value <= 1
    verdicts = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert verdicts == dict.fromkeys(NAMES, True)
    assert shown["composite"]["scenes used"].value == 3
    assert [name for name in shown["composite"] if name in PAGE] == PAGE
    rows = [record.data for record in shown["composite"]["levels"].value.records]
    repository = tiny.cube().repository
    stored = {row["level"]: stored_sizes(repository, row["level"]) for row in rows}
    assert {row["level"]: (row["chunks"], row["bytes"]) for row in rows} == stored
    assert shown["composite"]["chunks"].value == sum(n for n, _ in stored.values()) > 0
    assert shown["composite"]["bytes"].value == sum(size for _, size in stored.values())
    picture = shown["composite"]["picture"].value
    assert len(picture) < 1000
    webp = base64.b64decode(picture.removesuffix(")").partition("base64,")[2])
    with Image.open(io.BytesIO(webp)) as thumbnail:
        assert len(thumbnail.convert("RGB").getcolors(10_000)) > 100
    assert shown["composite"]["map"].value.endswith(f"#at={tip}&month=2024-06")


def test_any_selection_of_the_cube_is_the_whole_cube(tiny, wired):
    assert materialise(tiny, wired, selection=["scenes", "blocks"]).success
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        materialise(tiny, wired, selection=["indices"])
    assert len(tiny.cube().history()) == 2  # nothing but the empty cube


def test_scenes_that_were_changed_where_they_are_kept_are_refused(tiny, wired, tmp_path):
    assert materialise(tiny, wired, selection=["scenes", "blocks"]).success
    (kept,) = (tmp_path / ".neve" / "handover" / "scenes").rglob("*.json")
    kept.write_text(kept.read_text().replace(str(tiny.folder / "scenes"), "/etc", 1))
    result = materialise(tiny, wired, selection=["composite", "indices", "overviews"])
    assert "materialise scenes again" in str(result.get_step_failure_events()[0])
    assert len(tiny.cube().history()) == 2


def test_a_failed_run_marks_nothing_as_materialised(tiny, wired):
    for file in (tiny.folder / "scenes").glob("*20240608*/B04.tif"):
        file.write_bytes(file.read_bytes()[:200])
    result = materialise(tiny, wired)
    assert not result.success
    assert not result.asset_materializations_for_node("cube")
    assert len(tiny.cube().history()) == 2


def test_a_month_before_the_start_ends_green_with_a_word(tiny, wired, capsys):
    early = tiny.region.model_copy(update={"start": "2024-01"})
    result = dg.materialize(
        month_assets(month_partitions([early])),
        partition_key=partition_key("tiny", "2024-02"),
        resources=wired,
        run_config=QUIET,
        raise_on_error=False,
    )
    assert result.success
    assert not result.get_asset_materialization_events()
    assert not result.get_asset_check_evaluations()
    assert (
        "tiny: nothing to do, month 2024-02 is before the region's start" in capsys.readouterr().err
    )
    assert len(tiny.cube().history()) == 2  # nothing but the empty cube


def test_a_setting_that_is_no_number_is_named():
    with pytest.raises(AskPerson, match="NEVE_WORKERS 'four'"):
        resources({"NEVE_WORKERS": "four"})


def test_runs_of_one_partition_do_not_write_the_same_file(tmp_path):
    begun = tmp_path / "key.json.begun"
    begun.write_text("another run's")
    JsonHandover().dump_to_path(dg.build_output_context(), ("a",), UPath(tmp_path / "key.json"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["key.json", "key.json.begun"]
    assert begun.read_text() == "another run's"


def test_a_wrong_region_file_stops_no_start(tiny, monkeypatch, caplog):
    monkeypatch.setenv("NEVE_REGIONS", str(tiny.folder))
    (tiny.folder / "wrong.yaml").write_text("name: wrong")
    found = definitions()
    found.get_repository_def().load_all_definitions()
    months = found.resolve_asset_graph().get(dg.AssetKey("scenes")).partitions_def
    assert {key.keys_by_dimension["region"] for key in months.get_partition_keys()} == {"tiny"}
    assert "left out" in caplog.text and "wrong.yaml" in caplog.text
    monkeypatch.setenv("DAGSTER_IS_DEFS_VALIDATION_CLI", "1")  # as Dagster's own command does
    with pytest.raises(RegionInvalid, match="wrong"):
        definitions()


def test_the_code_server_can_load_everything(wired):
    # What ``dagster api grpc`` does: names are compared only then.
    definitions().get_repository_def().load_all_definitions()
