"""All campaigns in full, some at a time: a line for each as it ends, then the table of ``report``.

Run as ``python tests/torture/abreast.py``. What each printed is in ``.neve/torture/<name>.log``;
one that passed is not run again, and one that was interrupted goes on where it was.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import report
from campaign import KEPT

HERE = Path(__file__).parent
# Files, and which of their tests, the longest first.
ABREAST = (
    ("test_soak", ""),
    ("test_kills", "worker_processes"),
    ("test_writers", "s3"),
    ("test_kills", "every_phase"),
    ("test_writers", "disk"),
    ("test_states", "half0"),
    ("test_states", "half1"),
    ("test_daemon", ""),
    ("test_http", ""),
    ("test_clocks", ""),
    ("test_store_faults", ""),
    ("../test_server_fuzz", ""),
    ("test_catalogue", ""),
    ("test_disk", ""),
    ("test_images", ""),
    ("test_campaign", ""),
)
ALONE = (("test_load", ""),)  # wants all cores
# Two more than there are cores: some wait for servers, locks or clocks.
AT_A_TIME = (os.cpu_count() or 1) + 2


def run(file: str, part: str) -> float | None:
    """Run some tests in full; tells what they took, and their last lines where they failed.

    Returns the CPU seconds; None: they failed.
    """
    name = "-".join(filter(None, (Path(file).name, part)))
    passed = KEPT / f"{name}.passed"
    if passed.exists():
        told = passed.read_text("utf-8")
        print(f"{name}: passed before, in {told}", flush=True)
        return float(told.split()[-3])
    log = KEPT / f"{name}.log"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{file}.py"]
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [*command, "-k", part],
            cwd=HERE,
            env=os.environ | {"NEVE_TORTURE": "full"},
            stdout=out,
            stderr=out,
        )
        _, status, used = os.wait4(process.pid, 0)  # with all that it started and waited for
    process.returncode = code = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    told = f"{time.monotonic() - began:.0f} s, {cpu:.0f} CPU s"
    print(f"{name}: {'failed' if code else 'passed'} in {told}", flush=True)
    if code:
        print(*log.read_text("utf-8").splitlines()[-20:], sep="\n", flush=True)
        return None
    passed.write_text(told, "utf-8")
    return cpu


def main() -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        spent = list(pool.map(lambda job: run(*job), ABREAST))
    spent += [run(*job) for job in ALONE]
    well = [cpu for cpu in spent if cpu is not None]
    told = f"{len(well)} of {len(spent)} passed, with {sum(well):.0f} CPU s"
    print(f"{told}; all this took {time.monotonic() - began:.0f} s\n", flush=True)
    report.main()
    return 0 if len(well) == len(spent) else 1


if __name__ == "__main__":
    sys.exit(main())
