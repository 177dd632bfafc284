"""What ``neve doctor`` looks at: each thing that a build needs, and the fix where it lacks."""

import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numba

from neve.catalog.opening import open_catalog
from neve.cli.building import land_folder, project_folder
from neve.errors import AskPerson, NeveError
from neve.land import load_land
from neve.region import Region, load


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``found`` says what is there, or what is wrong and the fix."""

    what: str
    ok: bool
    found: str


def examine(regions: Path) -> list[Check]:
    """All checks, in the order in which their faults would show."""
    checks = [
        _check("python", _python),
        _check("icechunk", lambda: importlib.metadata.version("icechunk")),
        _check("project", lambda: str(project_folder())),
        _check("land", _land),
        _check("kernels", _kernels),
    ]
    for file in sorted(regions.glob("*.yaml")):
        checks += _region_checks(file)
    return checks


def _check(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except (NeveError, OSError) as error:
        return Check(what, False, str(error))


def _region_checks(file: Path) -> Iterator[Check]:
    try:
        region = load(file)
    except NeveError as error:
        yield Check(file.name, False, str(error))
        return
    yield Check(file.name, True, f"{region.grid().width} × {region.grid().height} pixels")
    yield _check(f"{file.name} catalogue", lambda: _catalogue(region))


def _catalogue(region: Region) -> str:
    source = open_catalog(region.catalog, region.hosts)
    found = source.search(region.collection, region.grid().lonlat_bounds(), region.start)
    return f"{source.name}: {len(found)} items of {region.collection} in {region.start}"


def _python() -> str:
    return sys.version.split()[0]


def _land() -> str:
    return load_land(land_folder()).source


def _kernels() -> str:
    """Where numba keeps compiled kernels; without a place each run compiles them again."""
    place = Path(numba.config.CACHE_DIR or Path(__file__).parents[1])
    try:
        with tempfile.TemporaryFile(dir=place):
            return str(place)
    except OSError as error:
        raise AskPerson(f"{place}: not writable; set NUMBA_CACHE_DIR to a folder") from error
