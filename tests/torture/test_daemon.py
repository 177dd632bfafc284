"""Soak of the deployment: what its lasting processes hold stays, run by run.

Runs are processes of their own, which the daemon takes from the queue and the code server starts;
both outlive them, as the webserver does. A hundred seconds of CPU: in the full form alone.
"""

from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from campaign import FULL, note
from test_dagster_dev import LAUNCH, STATUS, ask
from test_deploy import KEYS, production, until
from test_soak import BARE, MONTHS, Held, opened, put_scenes

from neve.cube.history import last_changes
from neve.cube.places import open_repository

BATCHES, EACH = 3, 4
# Of a process's memory, and of its files, sockets, threads, from the first batch's end to the
# last's: pools fill up to their bound, what each run leaves behind is one more for each.
GROWTH, MORE = 0.04, (BATCHES - 1) * EACH // 2


def lasting() -> dict[str, Held]:
    """What the deployment's processes hold, by their commands; empty while a run's is there."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process().children(recursive=True):
            memory, (files, sockets) = process.memory_info().rss, opened(process.pid)
            more = process.num_threads(), len(process.children())
            found[" ".join(process.cmdline())] = Held(memory, files, sockets, *more)
        if not any("spawn_main" in command for command in found):
            return {command: one for command, one in found.items() if "s3_server" not in command}
    return {}


def backfill(url: str, home: Path, months: list[str]) -> None:
    """Months of the region, all through the queue."""
    params = {
        "assetSelection": [{"path": [key]} for key in KEYS],
        "partitionNames": [f"{month}|tiny" for month in months],
        "title": "soak",
    }
    launched = ask(url, LAUNCH, {"params": params})["launchPartitionBackfill"]

    def ended() -> str:
        found = ask(url, STATUS, {"id": launched["backfillId"]})["partitionBackfillOrError"]
        return found["status"] if found["status"] not in ("REQUESTED", "CANCELING") else ""

    assert until(ended, 10, home) == "COMPLETED_SUCCESS"


@pytest.mark.skipif(not FULL, reason="runs in the full form alone")
def test_nothing_piles_up_in_the_deployment(tmp_path: Path, scenes: Path, bucket: str) -> None:
    regions, home = tmp_path / "regions", tmp_path / "home"
    months = MONTHS[: BATCHES * EACH]
    put_scenes(scenes, regions / "scenes", months)
    (regions / "tiny.yaml").write_text(BARE)
    trail = []
    with production(home, regions, bucket) as url:
        for first in range(0, len(months), EACH):
            backfill(url, home, months[first : first + EACH])
            trail.append(until(lasting, 2, home))
    before, *_, after = trail
    told = [f"{command}: {one} → {after.get(command)}" for command, one in before.items()]
    note("daemon", "\n".join([f"{len(months)} runs, after the first {EACH}:", *told]))
    published = last_changes(open_repository(str(regions / "cube")))
    assert [commit.month for commit in published] == months
    assert before.keys() == after.keys()
    for name in ("daemon", "webserver", "code-server", "api grpc"):
        assert any(name in command for command in after), told
    for command, one in after.items():
        assert one.memory < before[command].memory * (1 + GROWTH), told
        assert one.processes <= before[command].processes, told
        for name in ("files", "sockets", "threads"):
            assert getattr(one, name) < getattr(before[command], name) + MORE, told
