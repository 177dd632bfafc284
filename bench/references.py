"""What a commit costs against the number of its chunk references, and a cold open after it.

    python bench/references.py [--references 10000 100000 1000000] [--months 36]

Chunks of one byte on local disk; CPU seconds of this process. Then months one after the other,
each 2,000 references in 10 arrays and 500 scene ids of its own in the commit's metadata, with
manifests of 12 months and with one for all: bytes that the commit wrote, by kind, and a cold open
that reads one chunk of the last month. Ends with one line of JSON.
"""

import argparse
import asyncio
import json
import secrets
import tempfile
import time
from pathlib import Path

import icechunk
import zarr
from zarr.core.buffer import default_buffer_prototype

BATCH = 20_000


def measure(folder: str, references: int) -> dict[str, float]:
    """CPU s of setting the chunks, of the commit, of a one-chunk commit on top, of a cold open."""
    place = icechunk.local_filesystem_storage(f"{folder}/{references}")
    session = icechunk.Repository.create(place).writable_session("main")
    group = zarr.create_group(session.store)
    group.create_array("a", shape=(references,), chunks=(1,), dtype="u1", compressors=None)
    byte = default_buffer_prototype().buffer.from_bytes(b"\x01")

    async def put(first: int) -> None:
        last = min(first + BATCH, references)
        await asyncio.gather(*(session.store.set(f"a/c/{k}", byte) for k in range(first, last)))

    found, began = {}, time.process_time()
    for first in range(0, references, BATCH):
        asyncio.run(put(first))
    found["set"], began = time.process_time() - began, time.process_time()
    session.commit("all")
    found["commit"], began = time.process_time() - began, time.process_time()
    session = icechunk.Repository.open(place).writable_session("main")
    zarr.open_array(session.store, path="a")[0] = 2
    session.commit("one")
    found["one more"], began = time.process_time() - began, time.process_time()
    store = icechunk.Repository.open(place).readonly_session("main").store
    assert zarr.open_array(store, path="a", mode="r")[0] == 2
    found["cold open and read"] = time.process_time() - began
    return {name: round(value, 3) for name, value in found.items()}


def grown(folder: str, months: int, split: int | None) -> dict[str, dict[str, float]]:
    """Bytes of the commits of the first, a middle and the last month, and cold opens after them."""
    config = icechunk.RepositoryConfig.default()
    if split:
        every = {icechunk.ManifestSplitDimCondition.DimensionName("time"): split}
        splitting = icechunk.ManifestSplittingConfig.from_dict(
            {icechunk.ManifestSplitCondition.AnyArray(): every}
        )
        config.manifest = icechunk.ManifestConfig(splitting=splitting)
    place = icechunk.local_filesystem_storage(folder)
    repository = icechunk.Repository.create(place, config=config)
    repository.save_config()
    session = repository.writable_session("main")
    root = zarr.create_group(session.store)
    for k in range(10):
        root.create_array(
            f"v{k}", shape=(months, 200), chunks=(1, 1), dtype="u1", compressors=None,
            dimension_names=("time", "x"),
        )  # fmt: skip
    session.commit("empty")
    byte = default_buffer_prototype().buffer.from_bytes(b"\x01")
    found, before = {}, sizes(folder)
    for month in range(months):
        session = repository.writable_session("main")
        keys = [f"v{k}/c/{month}/{x}" for k in range(10) for x in range(200)]

        async def put(store: icechunk.IcechunkStore, keys: list[str]) -> None:
            await asyncio.gather(*(store.set(key, byte) for key in keys))

        asyncio.run(put(session.store, keys))
        session.commit(str(month), {"scenes": [secrets.token_hex(30) for _ in range(500)]})
        after = sizes(folder)
        if month in (0, months // 2, months - 1):
            # ``repo`` is written over, and its last version is kept among ``overwritten``.
            found[str(month + 1)] = {
                kind: after[kind] - (0 if kind == "repo" else before.get(kind, 0)) for kind in after
            } | {"cold open": cold_open(place, month)}
        before = after
    return found


def cold_open(place: icechunk.Storage, month: int) -> float:
    began = time.process_time()
    store = icechunk.Repository.open(place).readonly_session("main").store
    assert zarr.open_array(store, path="v0", mode="r")[month, 0] == 1
    return round(time.process_time() - began, 3)


def sizes(folder: str) -> dict[str, int]:
    """Bytes of a repository by its folders; ``repo`` is the one file beside them."""
    found = {"repo": (Path(folder) / "repo").stat().st_size}
    for kind in ("manifests", "snapshots", "transactions", "overwritten"):
        found[kind] = sum(f.stat().st_size for f in (Path(folder) / kind).glob("*"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--months", type=int, default=36)
    asked = parser.parse_args()
    icechunk.set_logs_filter("error")
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "references": {n: measure(folder, n) for n in asked.references},
            "manifests of 12 months": grown(f"{folder}/split", asked.months, 12),
            "one manifest": grown(f"{folder}/whole", asked.months, None),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
