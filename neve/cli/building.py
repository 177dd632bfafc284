"""Starting the Dagster project's own process for a build."""

import os
import subprocess
import sys
from pathlib import Path

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


def build_month(
    region: Path, month: str, catalog: str = "", store: str = "", workers: str = ""
) -> int:
    """Run the month's assets in a process of the Dagster project; returns its exit code."""
    project = project_folder()
    command = [sys.executable, "-m", "pipelines.month", str(region.absolute()), "--month", month]
    if workers:
        command += ["--workers", workers]
    if catalog:
        command += ["--catalog", located(catalog)]
    if store:
        command += ["--store", located(store)]
    # Dagster keeps its history where the project's dagster.yaml says.
    environment = {"DAGSTER_HOME": str(project)} | os.environ
    return subprocess.run(command, cwd=project, env=environment, check=False).returncode


def located(place: str) -> str:
    """A URL as it is, a path made absolute: the build runs in the project's folder."""
    return place if "://" in place else str(Path(place).absolute())
