"""The catalogue: spyndex's data, by release.

Belongs here: what is in the catalogue and what its bands and constants are for Sentinel-2.
Does not belong here: what a region chooses of it (``selection``).

spyndex is read as data (its packaged JSON), never imported: the import pulls in plotting and
network modules, and its way to compute is ``eval``.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neve.errors import RegionInvalid

# spyndex's band letters → STAC common names of Sentinel-2 L2A.
BANDS = {
    "A": "coastal",
    "B": "blue",
    "G": "green",
    "R": "red",
    "RE1": "rededge1",
    "RE2": "rededge2",
    "RE3": "rededge3",
    "N": "nir",
    "N2": "nir08",
    "WV": "nir09",
    "S1": "swir16",
    "S2": "swir22",
}

# Date of the last index in each release of spyndex: it holds what was added until then.
RELEASES = {
    "0.5": "2023-07-03",
    "0.6": "2024-05-16",
    "0.7": "2025-07-11",
    "0.8": "2025-10-11",
    "0.9": "2026-01-10",
    "0.10": "2026-03-31",
    "0.11": "2026-07-04",
    "0.12": "2026-07-22",
}

# Formulas that a later release corrected: (first release with today's formula, the one before).
CORRECTED = {
    "GARI": ("0.12", "(N - (G - (B - R))) / (N - (G + (B - R)))"),
    "NBAI": ("0.6", "((S2 - S1)/G)/((S2 + S1)/G)"),
}

# The catalogue's default of epsilon is for EBI; its own text asks for this one in the WCI.
OWN_CONSTANTS = {"WCI1": {"epsilon": 1e-10}, "WCI2": {"epsilon": 1e-10}}

Entry = Mapping[str, Any]


@cache
def release(catalogue: str) -> dict[str, Entry]:
    """Sentinel-2's indices of one release of the catalogue, with its formulas."""
    catalogue = pinned(catalogue)
    if catalogue not in RELEASES:
        raise RegionInvalid(
            f"catalogue: {catalogue!r} is unknown; use one of {', '.join(RELEASES)}, or "
            "'default' for the last of them, which is installed"
        )
    order = list(RELEASES)
    entries = {}
    for name, item in _sentinel2().items():
        if item["date_of_addition"] <= RELEASES[catalogue]:
            since, former = CORRECTED.get(name, (order[0], ""))
            older = order.index(catalogue) < order.index(since)
            entries[name] = {**item, "formula": former} if older else item
    return entries


def pinned(catalogue: str) -> str:
    """The release that a name stands for: "default" is the installed one."""
    return list(RELEASES)[-1] if catalogue == "default" else catalogue


def domains() -> tuple[str, ...]:
    """The domains that a region can name."""
    return tuple(sorted({entry["application_domain"] for entry in _sentinel2().values()}))


@cache
def defaults() -> dict[str, float]:
    """Default constants; central wavelengths are Sentinel-2A's, in nm.

    Left out: PAR, which no image gives, and sigma, which each pixel gives (see ``index``).
    """
    values = {
        name: float(entry["default"])
        for name, entry in packaged("constants.json").items()
        if entry["default"] is not None and name != "sigma"
    }
    for letter, entry in packaged("bands.json").items():
        if letter in BANDS and f"lambda{letter}" in packaged("constants.json"):
            values[f"lambda{letter}"] = float(entry["platforms"]["sentinel2a"]["wavelength"])
    return values


def own_constants(given: Mapping[str, float]) -> dict[str, float]:
    """A region's own constants, checked."""
    known = packaged("constants.json")
    for name, value in given.items():
        if name not in known:
            raise RegionInvalid(
                f"constants: {name!r} is unknown; the catalogue has {', '.join(sorted(known))}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
            raise RegionInvalid(f"constants: {name} must be a number, not {value!r}")
    return {name: float(value) for name, value in given.items()}


def _sentinel2() -> dict[str, Entry]:
    entries = packaged("spectral-indices-dict.json")["SpectralIndices"]
    return {name: item for name, item in entries.items() if "Sentinel-2" in item["platforms"]}


@cache
def packaged(file: str) -> Any:
    """One of spyndex's JSON files."""
    spec = find_spec("spyndex")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the catalogue of indices is missing; install spyndex")
    return json.loads((Path(spec.origin).parent / "data" / file).read_text("utf-8"))
