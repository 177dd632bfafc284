"""A real PostgreSQL in a folder of its own, for tests of the production settings."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Debian keeps the server's programs off the path.
PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin")]


@contextmanager
def postgres(port: int) -> Iterator[dict[str, str]]:
    """The environment that ``deploy/dagster.yaml`` reads; skips where there is no PostgreSQL."""
    programs = next((place for place in PLACES if (place / "initdb").exists()), None)
    if programs is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="neve-postgres-"))
    # PostgreSQL refuses to run as root; Debian's package comes with this user.
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(
            command, user=user, cwd=folder, check=True, capture_output=program != "pg_ctl", env={}
        )

    run("initdb", "-U", "dagster", "--auth", "trust", "-E", "UTF8", "--locale", "C")
    serving = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    run("pg_ctl", "start", "-w", "-s", "-l", str(folder / "log"), "-o", serving)
    try:
        yield {
            "NEVE_PG_HOST": "127.0.0.1",
            "NEVE_PG_PORT": str(port),
            "NEVE_PG_USER": "dagster",
            "NEVE_PG_PASSWORD": "none",
            "NEVE_PG_DATABASE": "postgres",
        }
    finally:
        run("pg_ctl", "stop", "-s", "-m", "immediate")
        shutil.rmtree(folder)
