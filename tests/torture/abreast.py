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
    ("test_kills", ""),
    ("test_states", "half0"),
    ("test_states", "half1"),
    ("test_writers", "s3"),
    ("test_writers", "disk"),
    ("test_http", ""),
    ("test_catalogue", ""),
    ("test_store_faults", ""),
    ("test_disk", ""),
    ("test_clocks", ""),
    ("test_images", ""),
    ("../test_server_fuzz", ""),
    ("test_campaign", ""),
)
ALONE = (("test_load", ""),)  # wants all cores
# Two more than there are cores: some wait for servers, locks or clocks.
AT_A_TIME = (os.cpu_count() or 1) + 2


def run(file: str, part: str) -> bool:
    """Run some tests in full; tells how long they took, and their last lines where they failed."""
    name = "-".join(filter(None, (Path(file).name, part)))
    passed = KEPT / f"{name}.passed"
    if passed.exists():
        print(f"{name}: passed before, in {passed.read_text('utf-8')} s", flush=True)
        return True
    log = KEPT / f"{name}.log"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{file}.py"]
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        code = subprocess.run(
            [*command, "-k", part],
            cwd=HERE,
            env=os.environ | {"NEVE_TORTURE": "full"},
            stdout=out,
            stderr=out,
            check=False,
        ).returncode
    seconds = round(time.monotonic() - began)
    print(f"{name}: {'failed' if code else 'passed'} in {seconds} s", flush=True)
    if code:
        print(*log.read_text("utf-8").splitlines()[-20:], sep="\n", flush=True)
    else:
        passed.write_text(str(seconds), "utf-8")
    return not code


def main() -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        well = list(pool.map(lambda job: run(*job), ABREAST))
    well += [run(*job) for job in ALONE]
    report.main()
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
