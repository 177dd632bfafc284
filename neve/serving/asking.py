"""The forms of what may be asked: names, numbers and months with their bounds.

Belongs here: parameters as types; one that is not listed is refused. Does not belong here:
whether a cube holds what is asked for (``tiles``, ``describing``, ``passport``).
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import HTTPException
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from neve.cube.store import MAIN

MOST_ZOOM = 22
# As long as the branch of a begun month: staging.<region>.<month>.
Ref = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,78}$")]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
Names = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_,]{0,190}$")]
# Not \d: to pydantic that is any alphabet's digit.
D = "[0-9]{2}"
INSTANT = rf"(\.\.|{D}{D}-{D}(-{D}(T{D}:{D}:{D}Z)?)?)"
Number = Annotated[float, Field(ge=-1e9, le=1e9)]  # no nan either
# No part of a key begins with a dot.
PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
KEY = rf"^(({PART}/)*zarr\.json|{PART}/{PART}/c(/[0-9]{{1,9}})*)$"
Key = Annotated[str, Field(pattern=KEY, max_length=300)]


class Asked(BaseModel):
    """Parameters of a request; one that is not listed is refused."""

    model_config = ConfigDict(extra="forbid")


class At(Asked):
    """A version of the cube."""

    at: Ref = MAIN


class AtMonth(At):
    """A month of a version; the last one unless it is given."""

    month: Month | None = None


class Between(Asked):
    """Two versions, the older one first."""

    older: Ref = Field(alias="from")
    newer: Ref = Field(MAIN, alias="to")


class AtPixel(AtMonth):
    """A point and what is asked of it."""

    lon: Annotated[float, Field(ge=-180, le=540)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    variable: Name
    level: Annotated[str, Field(pattern=r"^[0-9A-Za-z_/]{1,40}$")] | None = None


class AtPosition(Asked):
    """A position query of OGC EDR."""

    coords: Annotated[str, Field(max_length=80)]
    names: Names = Field(alias="parameter-name")
    datetime: Annotated[str, Field(pattern=f"^{INSTANT}(/{INSTANT})?$")] = ".."
    form: Annotated[str, Field(pattern="^(CoverageJSON|csv)$")] = Field("CoverageJSON", alias="f")


class Styled(Asked):
    """How a variable is shown."""

    month: Month | None = None
    lo: Number | None = None
    hi: Number | None = None
    colormap: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,40}$")] | None = None


@dataclass(frozen=True)
class Place:
    """A tile of the web map: zoom, row, column."""

    z: Annotated[int, InPath(ge=0, le=MOST_ZOOM)]
    y: Annotated[int, InPath(ge=0)]
    x: Annotated[int, InPath(ge=0)]

    def __post_init__(self) -> None:
        if max(self.x, self.y) >= 2**self.z:
            raise HTTPException(404, f"zoom {self.z} has {2**self.z} × {2**self.z} tiles")
