"""Places: every scheme finds its storage, and what cannot be reached is told in one line."""

import icechunk
import pytest
import zarr
from conftest import BY
from web_server import web

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube.layout import layout_of
from neve.cube.opening import open_cube
from neve.cube.places import explained, open_repository, s3_options, storage
from neve.errors import AskPerson, CubeMismatch, Retry
from neve.opened import open as open_tree


def built(tiny, location, options=None):
    build_month(tiny.plan(), open_cube(location, layout_of(tiny.region), options), Inline(), BY)
    return open_tree(location, s3_options=options).load()


@pytest.mark.parametrize(
    "location",
    ["s3://b", "s3://b/a/prefix", "gs://b/prefix", "az://account/container/a/prefix", "memory://x"],
)
def test_every_kind_of_place_has_its_storage(location):
    assert isinstance(storage(location), icechunk.Storage)


@pytest.mark.parametrize("location", ["s3://", "az://account", "ftp://host/x", "gcs://b"])
def test_what_names_no_place_is_refused_with_the_places_there_are(location):
    with pytest.raises(AskPerson, match=r"az://account/container/prefix"):
        storage(location)


def test_the_same_cube_in_memory_in_a_folder_and_on_s3(tiny, bucket, s3_url):
    folder = built(tiny, tiny.store)
    assert built(tiny, f"memory://{tiny.folder}").identical(folder)
    assert built(tiny, f"{bucket}/cubes/tiny", s3_options(s3_url)).identical(folder)
    assert open_tree(f"file://{tiny.store}").load().identical(folder)


def test_a_file_url_shares_the_lock_of_its_folder(tiny):
    layout = layout_of(tiny.region)
    assert open_cube(f"file://{tiny.store}", layout).lock == tiny.cube().lock


def test_a_missing_cube_and_a_missing_bucket_are_told_apart(tiny, bucket, s3_url):
    with pytest.raises(CubeMismatch, match="no cube here"):
        open_repository(f"{bucket}/nothing", s3_options(s3_url))
    with pytest.raises(AskPerson, match=r"s3://nowhere/x: .*NoSuchBucket.*environment"):
        open_cube("s3://nowhere/x", layout_of(tiny.region), s3_options(s3_url))


def test_missing_credentials_are_named(tiny, bucket, s3_url, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AskPerson, match="credential"):
        open_repository(f"{bucket}/x", s3_options(s3_url))


@pytest.mark.parametrize(
    "word",
    [
        "dispatch failure: tcp connect error",
        'service error: unhandled error (SlowDown): Error { code: "SlowDown", message: "wait" }',
        'service error: unhandled error (TooManyRequests): Error { code: "TooManyRequests" }',
        'service error: unhandled error (InternalError): Error { code: "InternalError" }',
        'service error: unhandled error (ServiceUnavailable): Error { code: "ServiceUnavailable" }',
    ],
)
def test_trouble_that_may_pass_asks_for_another_attempt(word):
    # Icechunk itself tries for half a minute; its last word is this.
    with pytest.raises(Retry) as told, explained("s3://b"):
        raise icechunk.StorageError(f"object store error {word}\n\ncontext:\n 0: refs")
    assert str(told.value) == f"s3://b: {word}; run again when the store answers"


@pytest.mark.parametrize("kind", ["file", "http"])
def test_chunks_that_a_repository_of_others_has_elsewhere_are_not_fetched(tmp_path, kind):
    """Its own settings may say that chunks lie in files of this machine, or at a host."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "bytes").write_bytes(b"canaries")
    with web(b"canaries") as server:
        host = server.at("127.0.0.1").rpartition("/")[0]
        place = f"file://{tmp_path}/secret/" if kind == "file" else f"{host}/"
        options = {"allow_http": "true"}
        store = icechunk.http_store(options)
        if kind == "file":
            store = icechunk.local_filesystem_store(f"{tmp_path}/secret")
        config = icechunk.RepositoryConfig.default()
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(place, store))
        theirs = icechunk.Repository.create(storage(f"{tmp_path}/theirs"), config=config)
        theirs.save_config()
        session = theirs.writable_session("main")
        root = zarr.create_group(session.store)
        root.create_array("x", shape=(8,), chunks=(8,), dtype="uint8", compressors=None)
        session.store.set_virtual_ref("x/c/0", f"{place}bytes", offset=0, length=8)
        session.commit("theirs")
        opened = open_repository(f"{tmp_path}/theirs").readonly_session("main")
        with pytest.raises(icechunk.IcechunkError, match="authorize"):
            zarr.open_group(opened.store, mode="r")["x"][:]
        assert server.asked == []


def test_arraylake_needs_its_client():
    with pytest.raises(AskPerson, match="pip install arraylake"):
        open_repository("al://org/repository")
