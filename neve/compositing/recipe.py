"""What a composite is made of, as plain values.

Belongs here: the options of compositing. Does not belong here: a region's file (``region``).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """What a composite is made of.

    ``drop``: SCL classes that are masked; ``opening`` and ``dilation`` (metres): see ``masking``;
    ``min_obs``: pixels with fewer observations are ``FILL``; ``source_overviews``: a target
    coarser than the source may be read from the source's overviews (averaged over clouds);
    ``max_lost``: so many scenes may be lost to failed reads before the block fails.
    """

    bands: tuple[str, ...]
    drop: tuple[int, ...] = (0, 1, 3, 8, 9, 10)
    method: Literal["median", "geomedian", "medoid"] = "median"
    min_obs: int = 1
    opening: float = 0.0
    dilation: float = 0.0
    source_overviews: bool = False
    max_lost: int = 0
