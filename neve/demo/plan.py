"""What to write: tiles, days and orbits of a set of synthetic scenes, and the demo's own set.

Belongs here: frozen values without I/O, small to state in a test. Does not belong here: how they
turn into pixels (``scenes``), footprints (``footprints``) and items (``stac_items``).
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class TilePlan:
    """A tile: MGRS name (zone, band, square) and its top left corner in metres of that zone."""

    mgrs: str
    left: float
    top: float

    @property
    def epsg(self) -> int:
        """EPSG code of the UTM zone; latitude bands from N on are north of the equator."""
        return (32600 if self.mgrs[-3] >= "N" else 32700) + int(self.mgrs[:-3])

    @property
    def crs(self) -> str:
        """``EPSG:…``."""
        return f"EPSG:{self.epsg}"


class Swath(NamedTuple):
    """From where to where an orbit sees the plan's tiles, in shares of their extent eastwards."""

    begin: float = 0.0
    end: float = 1.0


WHOLE = Swath()


@dataclass(frozen=True)
class DayPlan:
    """One solar day, seen by one orbit.

    ``shift`` is what a reader must add to a stored number to get reflectance · 10,000: 0, or
    -1000 where the offset of new baselines is left to the reader. ``clouds``: share of sky that
    has any (0 and 1 exact); ``cloud_box``: (west, south, east, north) in degrees of one more
    opaque cloud (all clouds cast shadows some 2 km to the north-west). ``gain``: brightness of
    this day. ``sequence``: another value gives another id, as when a day is processed again.
    """

    date: str
    platform: str = "sentinel-2a"
    orbit: int = 22
    baseline: str = "05.10"
    shift: int = 0
    clouds: float = 0.0
    cloud_box: tuple[float, float, float, float] | None = None
    swath: Swath = WHOLE
    gain: float = 1.0
    sequence: int = 0
    time: str = "10:08:27"

    def scene_id(self, tile: TilePlan) -> str:
        """As Earth Search names it: ``S2A_33TTL_20240603_0_L2A``."""
        craft = f"S2{self.platform[-1].upper()}"
        return f"{craft}_{tile.mgrs}_{self.date.replace('-', '')}_{self.sequence}_L2A"


@dataclass(frozen=True)
class ScenePlan:
    """What to write: every tile on every day.

    ``size``: pixels of ``resolution`` m along a tile's edge. ``scl`` and the bands that
    Sentinel-2 has at 20 m get pixels twice as large, those at 60 m six times (``size`` must be
    divisible; ValueError if not). ``bands``: common names; ``scl`` is always written.
    """

    tiles: tuple[TilePlan, ...]
    days: tuple[DayPlan, ...]
    resolution: float = 60.0
    size: int = 480
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    seed: int = 7

    def bounds(self, tile: TilePlan) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of a tile in metres of its UTM zone."""
        side = self.size * self.resolution
        return tile.left, tile.top - side, tile.left + side, tile.top


DEMO_TILES = (TilePlan("32TQR", 717600, 5047800), TilePlan("33TTL", 268020, 5047800))
DEMO = ScenePlan(
    tiles=DEMO_TILES,
    days=(
        DayPlan("2024-06-03", "sentinel-2a", 22, "05.10", clouds=0.2),
        DayPlan("2024-06-08", "sentinel-2b", 22, "05.10", clouds=0.4),
        DayPlan("2024-06-13", "sentinel-2a", 122, "02.14", clouds=0.12, swath=Swath(0, 0.7)),
        DayPlan("2024-06-18", "sentinel-2b", 22, "05.10", shift=-1000, clouds=0.22, gain=1.01),
        DayPlan("2024-06-26", "sentinel-2a", 122, "04.00", clouds=0.25, swath=Swath(0, 0.62)),
        DayPlan("2024-07-03", "sentinel-2a", 22, "05.10", clouds=0.3, gain=0.99),
        DayPlan("2024-07-08", "sentinel-2b", 22, "05.10", shift=-1000, clouds=0.2),
        DayPlan("2024-07-13", "sentinel-2a", 122, "05.10", clouds=0.1, swath=Swath(0, 0.6)),
        DayPlan("2024-07-18", "sentinel-2b", 22, "02.14", clouds=0.45),
        DayPlan("2024-07-26", "sentinel-2a", 65, "05.11", clouds=0.3, swath=Swath(0.3, 1)),
    ),
)
