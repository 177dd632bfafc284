"""What a map shows: the variables of a cube with their ranges, colours and formulas.

Belongs here: from a variable's attributes to plain values. Does not belong here: pixels, HTTP.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import xarray as xr

from neve.cube.derived import ALIAS, DERIVED
from neve.region import BANDS

Kind = Literal["preview", "band", "index", "count", "valid_fraction"]
KINDS = get_args(Kind)

VISIBLE = ("coastal", "blue", "green", "red")
# Reflectance of land seldom reaches further.
VISIBLE_RANGE, INFRARED_RANGE = (0.0, 0.3), (0.0, 0.6)
PREVIEW_RANGE = (0.0, 255.0)
BAND_DIMENSIONS = ("band", "rgb")


@dataclass(frozen=True)
class Shown:
    """One variable as the map needs it.

    ``range``: values at the two ends of ``colormap`` (matplotlib's name); ``stored``: False for
    what is computed on reading; ``colours``: it holds red, green and blue itself.
    """

    name: str
    kind: Kind
    stored: bool
    long_name: str
    formula: str
    reference: str
    domain: str
    units: str
    range: tuple[float, float]
    colormap: str
    colours: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def shown(level: xr.Dataset, most_observations: int) -> dict[str, Shown]:
    """All variables of a level that a map can show, by name.

    ``most_observations``: the largest count in the cube, the upper end of its range.
    """
    spatial = set(level.attrs["spatial:dimensions"])
    found = [
        _shown(str(name), array, most_observations)
        for name, array in level.data_vars.items()
        if spatial <= set(array.dims) and _drawable(array, spatial)
    ]
    return {told.name: told for told in sorted(found, key=_place)}


def _place(told: Shown) -> tuple[int, int, str]:
    """Previews, then bands by wavelength, stored and other indices by name, then counts."""
    wavelength = BANDS.index(told.name) if told.name in BANDS else len(BANDS)
    kind = KINDS.index(told.kind)
    return kind, wavelength if told.kind == "band" else not told.stored, told.name.lower()


def _drawable(array: xr.DataArray, spatial: set[str]) -> bool:
    """Whether a map has a way to draw it: a plane per month, or red, green and blue of one."""
    others = set(array.dims) - spatial - {"time"}
    return not others or (len(others) == 1 and _coloured(array))


def _coloured(array: xr.DataArray) -> bool:
    return any(array.sizes.get(dim) == 3 for dim in BAND_DIMENSIONS)


def _shown(name: str, array: xr.DataArray, most_observations: int) -> Shown:
    told = array.attrs
    kind = _kind(name, array)
    low, high = _range(name, kind, told, most_observations)
    return Shown(
        name=name,
        kind=kind,
        stored=DERIVED not in told and ALIAS not in told,
        long_name=str(told.get("long_name", name)),
        formula=str(told.get("formula", "")),
        reference=str(told.get("references", "")),
        domain=str(told.get("application_domain", "")),
        units=str(told.get("units", "1")),
        range=(float(low), float(high)),
        colormap=str(told.get("colormap", COLORMAPS.get(kind, "gray"))),
        colours=_coloured(array),
    )


COLORMAPS: dict[Kind, str] = {"count": "viridis", "valid_fraction": "cividis"}


def _kind(name: str, array: xr.DataArray) -> Kind:
    if name == "count":
        return "count"
    if name == "valid_fraction":
        return "valid_fraction"
    if _coloured(array):
        return "preview"
    return "index" if "formula" in array.attrs else "band"


def _range(
    name: str, kind: Kind, told: dict[str, Any], most_observations: int
) -> tuple[float, float]:
    match kind:
        case "preview":
            return PREVIEW_RANGE
        case "count":
            return 0.0, float(max(most_observations, 1))
        case "valid_fraction":
            return 0.0, 1.0
    if "display_range" in told:
        low, high = told["display_range"]
        return low, high
    return VISIBLE_RANGE if name in VISIBLE else INFRARED_RANGE
