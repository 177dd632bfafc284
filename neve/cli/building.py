"""Starting the Dagster project's own process for a build."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE

import neve
from neve.errors import AskPerson


def project_folder() -> Path:
    """The folder of the Dagster project: above the working directory, or beside this package.

    Raises ``AskPerson`` where there is none (only the package ``neve`` is installed).
    """
    here = Path.cwd()
    beside = Path(neve.__file__).parents[1]
    for folder in (here, *here.parents, beside):
        if (folder / "pipelines" / "definitions.py").is_file():
            return folder
    raise AskPerson("no Dagster project here: run this inside a checkout of neve")


def land_folder() -> Path:
    """Natural Earth, as the project's npm packages have it."""
    return project_folder() / "node_modules" / "world-atlas"


def build_month(
    region: Path, month: str, options: Mapping[str, str | bool] = {}
) -> tuple[int, dict[str, object]]:
    """Run the month's assets in a process of the Dagster project.

    ``options``: ``catalog``, ``store`` and ``workers``, and the flags of ``pipelines.month``.
    Returns its exit code and, where that is 0, what it published.
    """
    given = dict(options)
    for place in ("catalog", "store"):
        if given.get(place):
            given[place] = located(str(given[place]))
    done = _run("month", [str(region.absolute()), "--month", month], given, PIPE)
    return done.returncode, {} if done.returncode else json.loads(done.stdout.splitlines()[-1])


def backfill(
    regions: Sequence[str], first: str, last: str, options: Mapping[str, str | bool]
) -> int:
    """Run months of regions that the project knows, ``jobs`` at a time; returns the exit code."""
    return _run("backfill", [*regions, "--from", first, "--to", last], options).returncode


def _run(
    program: str,
    arguments: Sequence[str],
    options: Mapping[str, str | bool],
    stdout: int | None = None,
) -> subprocess.CompletedProcess[bytes]:
    project = project_folder()
    command = [sys.executable, "-m", "pipelines", program, *arguments]
    for name, value in options.items():
        if value:
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    # Dagster keeps its history where the project's dagster.yaml says.
    environment = {"DAGSTER_HOME": str(project)} | os.environ
    return subprocess.run(command, cwd=project, env=environment, check=False, stdout=stdout)


def located(place: str) -> str:
    """A URL as it is, a path made absolute: the build runs in the project's folder."""
    return place if "://" in place else str(Path(place).absolute())
