"""Load on the map server: many clients at once, no error, memory bounded."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import numpy as np
import pytest
from campaign import FULL, note
from conftest import REGION, Tiny, build_both

CLIENTS, SECONDS = (50, 60) if FULL else (10, 3)
# Of resident memory, over the second half of the time.
GROWTH = 0.05


@pytest.fixture
def served(tmp_path, scenes):
    """A server in a process of its own: its URL and process id."""
    shutil.copytree(scenes, tmp_path / "scenes")
    (tmp_path / "tiny.yaml").write_text(REGION.replace("[NDVI, EVI]", "[NDVI]"), "utf-8")
    store = build_both(Tiny(tmp_path))
    program = str(Path(sys.executable).with_name("neve"))
    process = subprocess.Popen(
        [program, "serve", store, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        line = next(line for line in process.stdout or () if "http://" in line)
        yield line[line.index("http://") :].split()[0].rstrip("/"), process.pid
    finally:
        process.terminate()
        process.communicate()


@dataclass
class Seen:
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def inner(bounds: list[float]) -> tuple[float, ...]:
    """The inner half of a box: the grid lies askew in its bounds in degrees."""
    west, south, east, north = bounds
    across, up = (east - west) / 4, (north - south) / 4
    return west + across, south + up, east - across, north - up


async def visitor(url: str, chance: Random, until: float, seen: Seen) -> None:
    """Tiles that nobody has asked for yet, and what a page asks besides."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        cube = (await client.get("/api/cube")).json()
        west, south, east, north = inner(cube["bounds"])
        while time.monotonic() < until:
            zoom = chance.randint(8, 16)
            lon, lat = chance.uniform(west, east), chance.uniform(south, north)
            x = int((lon + 180) / 360 * 2**zoom)
            y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
            month = chance.choice(cube["months"])
            name = chance.choice(["NDVI", "red", "red,green,blue", "EVI", "count"])
            path = chance.choice(
                [
                    f"/tiles/main/{name}/{zoom}/{y}/{x}.png?month={month}&lo={chance.random():.6f}&hi=2"
                ]
                * 8
                + [f"/api/pixel?lon={lon}&lat={lat}&variable=NDVI&month={month}", "/api/months"]
            )
            began = time.monotonic()
            answer = await client.get(path)
            seen.seconds.append(time.monotonic() - began)
            seen.statuses[answer.status_code] += 1


async def crowd(url: str, pid: int, seen: Seen) -> None:
    until = time.monotonic() + SECONDS
    visitors = [
        asyncio.create_task(visitor(url, Random(f"load/{k}"), until, seen)) for k in range(CLIENTS)
    ]
    while time.monotonic() < until:
        seen.memory.append(resident(pid))
        await asyncio.sleep(SECONDS / 60)
    await asyncio.gather(*visitors)


def test_a_crowd_is_served_without_errors_in_bounded_memory(served) -> None:
    url, pid = served
    seen = Seen()
    asyncio.run(crowd(url, pid, seen))
    p50, p95 = np.percentile(seen.seconds, [50, 95])
    half = seen.memory[len(seen.memory) // 2 :]
    told = (
        f"{CLIENTS} clients, {SECONDS} s: {seen.statuses.total()} answers {dict(seen.statuses)}, "
        f"p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, "
        f"RSS {half[0] / 1e6:.0f} → {half[-1] / 1e6:.0f} MB"
    )
    note("load", told)
    assert set(seen.statuses) == {200}, told  # there is room for 256 in line
    assert seen.statuses[200] > CLIENTS, told
    if FULL:
        assert half[-1] < (1 + GROWTH) * half[0], told
