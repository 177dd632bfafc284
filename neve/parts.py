"""Parts of a region file: keys that have keys of their own.

Belongs here: their checks and the values that follow from them alone. Does not belong here: the
area (``area``), the keys that take one value (``region``).
"""

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from neve.area import Part
from neve.grid import Grid, zone_grid
from neve.reading.ranges import Reads


def _host(name: str) -> str:
    bare = not re.search(r"[/\s]", name)
    if bare and ":" in name:  # an IPv6 address, or a port
        try:
            ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]").split("%")[0])
        except ValueError:
            bare = False
    if not bare or not name:
        raise ValueError("give a host or bucket without scheme, path and port")
    return name


# Whom items may name and servers redirect to: a name, ``*.name``, an address, a bucket.
Host = Annotated[str, AfterValidator(_host)]


class Mask(Part):
    """Which SCL classes are dropped, and the clean-up of the mask in metres."""

    drop: tuple[int, ...] = (0, 1, 3, 8, 9, 10)
    opening: float = Field(0.0, ge=0)
    dilation: float = Field(0.0, ge=0)

    @field_validator("drop")
    @classmethod
    def _classes(cls, drop: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [c for c in drop if not 0 <= c <= 11]:
            raise ValueError(f"SCL has classes 0–11, not {wrong}")
        return drop


class Reading(Part):
    """How patiently scenes are read; what each key means says ``Reads``."""

    attempts: int = Field(Reads.attempts, ge=1)
    timeout: float = Field(Reads.timeout, gt=0, allow_inf_nan=False)
    concurrency: int = Field(Reads.concurrency, ge=1)
    verify: Literal["local", "all"] = "local"

    def reads(self) -> Reads:
        """The same for readers."""
        return Reads(**self.model_dump())


class Dtypes(Part):
    """How values are stored: packed int16 × 0.0001, or float32 with NaN."""

    reflectance: Literal["int16", "float32"] = "int16"
    indices: Literal["auto", "float32"] = "auto"


class Zone(Part):
    """One hemisphere of a UTM zone, whose cube the region shares with others."""

    utm_zone: int = Field(alias="utm-zone", ge=1, le=60)
    hemisphere: Literal["north", "south"] = "north"

    def grid(self, resolution: float, anchor: tuple[float, float]) -> Grid:
        """The zone's grid, the same for every region in it."""
        return zone_grid(self.utm_zone, self.hemisphere == "north", resolution, anchor)

    @property
    def name(self) -> str:
        """Short name: ``utm33n``."""
        return f"utm{self.utm_zone:02}{self.hemisphere[0]}"


class Visual(Part):
    """A picture of three variables, as red, green and blue.

    ``stretch``: values that become the darkest and the lightest colour; where there is none, the
    2nd and 98th percentile of each month and variable.
    """

    bands: tuple[str, str, str] = ("red", "green", "blue")
    stretch: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.stretch is not None and not self.stretch[0] < self.stretch[1]:
            raise ValueError("stretch is [darkest, lightest], two rising numbers")
        return self


def check_methods(methods: Mapping[str, str], bands: Sequence[str], indices: Sequence[str]) -> None:
    """ValueError for a variable's overview method that means nothing; ``indices``: stored ones."""
    for name, method in methods.items():
        if name not in {*bands, *indices, "count"}:
            raise ValueError(f"overview_methods: {name!r} is no band, stored index or count")
        if name in indices and method != "mean":
            raise ValueError(
                f"overview_methods: {name} cannot be {method}: an index is computed from the "
                "level's reflectance, or is the mean of its native values; write mean"
            )
        if name in bands and method == "sum":
            raise ValueError(f"overview_methods: a sum of {name} is no reflectance")


def check_previews(visual: Visual | None, pca: Sequence[str], stored: Sequence[str]) -> None:
    """ValueError for a picture of variables that are not stored, or of too few."""
    if pca and (len(pca) < 3 or len(set(pca)) < len(pca)):
        raise ValueError("pca takes three or more variables, each once")
    for key, names in (("visual", visual.bands if visual else ()), ("pca", pca)):
        for name in names:
            if name not in stored:
                raise ValueError(
                    f"{key} needs {name!r}{did_you_mean(name, stored)}, which is not stored; "
                    f"stored are {', '.join(stored)}"
                )


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint at the known word that is nearest, or nothing."""
    close = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
