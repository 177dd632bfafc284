"""What a commit costs against the number of its chunk references, and a cold open after it.

    python bench/references.py [--references 10000 100000 1000000]

Chunks of one byte in one array per month's share, on local disk; CPU seconds of this process.
Ends with one line of JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    icechunk.set_logs_filter("error")
    with tempfile.TemporaryDirectory() as folder:
        found = {n: measure(folder, n) for n in parser.parse_args().references}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
