"""Kill −9 at random points of a materialisation: main is before or after, never between."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import PROJECT, alive, children

from neve.opened import open as open_tree

# Every point costs the start of a Dagster process; `NEVE_KILLS=40` is the long form.
KILLS = int(os.environ.get("NEVE_KILLS", "2"))
SEED = 20


def start(tiny, store, **more):
    command = [sys.executable, "-m", "pipelines", "month", str(tiny.file), "--month", "2024-06"]
    environment = os.environ | {
        "DAGSTER_HOME": str(tiny.folder),
        "NEVE_WORK": str(tiny.folder / ".neve"),
        "PYTHONPATH": str(PROJECT),
        **more,
    }
    return subprocess.Popen(
        [*command, "--store", str(store), "--workers", "2"],
        cwd=tiny.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-3000:]
    return errors.decode()


@pytest.mark.slow
def test_main_is_before_or_after_at_every_point(tiny, tmp_path):
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"))
    # Compiles kernels, so that durations are comparable.
    told = finish(start(tiny, tmp_path / "warm", PYTHONPROFILEIMPORTTIME="1"))
    assert len(re.findall(r"\| +neve.build.block$", told, re.MULTILINE)) == 3  # run and workers
    assert len(re.findall(r"\| +dagster$", told, re.MULTILINE)) == 1, "workers load Dagster"
    began = time.monotonic()
    finish(start(tiny, tmp_path / "calm"))
    whole = time.monotonic() - began
    calm = open_tree(str(tmp_path / "calm"), derived=False).load()
    chance = random.Random(SEED)
    seen = set()
    for k in range(KILLS):
        store = tmp_path / f"killed-{k}"
        process = start(tiny, store)
        # Importing Dagster takes the first part; nothing can be half done there.
        time.sleep(whole * chance.uniform(0.35, 1.0))
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if store.exists() and (store / "repo").exists():
            tree = open_tree(str(store), derived=False).load()
            after = tree["1x"].sizes["time"] == 1
            assert tree.identical(calm) if after else tree["1x"].sizes["time"] == 0
            seen.add(after)
        finish(start(tiny, store))
        assert open_tree(str(store), derived=False).load().identical(calm)
        assert not [pid for pid in workers if alive(pid)], "workers outlived the run"
    assert seen, "no kill fell into the materialisation"
