"""What is asked for, held against what a dataset holds: plans, or a clear refusal.

Belongs here: methods and factors that fit the rasters, and all that is refused before anything is
written. Does not belong here: what a dataset holds (``dataset``), windows (``plan``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import zarr

from neve.errors import CubeMismatch
from neve.overviews.pooling import METHODS, reduce
from neve.pyramids.dataset import Dataset, Raster, describe, lies_flat
from neve.pyramids.groups import level_path
from neve.pyramids.plan import BUDGET, RasterPlan, plan_raster
from neve.pyramids.state import state_of


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    ``methods``: per variable; those not named take ``mode`` if they are CF flags, else ``mean``.
    ``crs``: for datasets that do not say. ``nest``: arrays that lie in the root are moved into the
    group ``1x`` first. ``budget``: bytes of native pixels in a window. ``checkpoint``: seconds of
    work that an interruption may cost.
    """

    factors: tuple[int, ...] = (4, 16, 64)
    methods: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    nest: bool = False
    budget: int = BUDGET
    checkpoint: float = 120.0


def planned(root: zarr.Group, wanted: Wanted) -> tuple[Dataset, list[RasterPlan]]:
    """What would be built in a group, which may be read-only.

    Raises ``CubeMismatch`` if the dataset is not one that levels can be added to; ValueError for
    wrong factors or methods.
    """
    if lies_flat(root) and not wanted.nest:
        raise CubeMismatch(
            "the native arrays lie in the root group, where a tree of levels cannot be opened for "
            "their coordinates: --nest moves them into the group 1x, where readers must then look"
        )
    dataset = describe(root, wanted.crs, state_of(root).get("native"))
    plans = _plans(dataset, wanted)
    asked = {level_path(dataset, factor) for factor in wanted.factors}
    if extra := levels_there(root, dataset) - asked:
        raise CubeMismatch(f"levels {sorted(extra)} are there and not asked for: delete them first")
    return dataset, plans


def levels_there(root: zarr.Group, dataset: Dataset) -> set[str]:
    """Paths of the levels that are described, or begun."""
    layout: object = root.attrs.get("multiscales", {})
    entries = layout.get("layout", []) if isinstance(layout, Mapping) else []
    described = {str(entry["asset"]) for entry in entries}
    return (described | set(state_of(root).get("levels", []))) - {dataset.path}


def _plans(dataset: Dataset, wanted: Wanted) -> list[RasterPlan]:
    names = {raster.name for raster in dataset.rasters}
    wrong = set(wanted.methods.values()) - set(METHODS)
    if wrong or set(wanted.methods) - names:
        raise ValueError(
            f"overview methods {dict(wanted.methods)}: variables are {sorted(names)}, methods "
            f"{', '.join(METHODS)}"
        )
    plans = []
    for raster in dataset.rasters:
        method = wanted.methods.get(raster.name, "mode" if raster.classes else "mean")
        plan = plan_raster(raster, wanted.factors, method, wanted.budget)
        try:  # of what the kernels refuse (64-bit integers, …) hear before anything is written
            _check_packing(raster, method)
            reduce(np.zeros((1, 1), raster.dtype), plan.factors, method, raster.nodata)
        except (TypeError, ValueError) as error:
            raise CubeMismatch(f"{raster.name} by {method}: {error}") from error
        plans.append(plan)
    return plans


def _check_packing(raster: Raster, method: str) -> None:
    """ValueError for a method of which stored values give another result than unpacked ones."""
    if raster.offset and method == "sum":
        raise ValueError(
            f"add_offset {raster.offset:g} would count once in a sum and not once a pixel; use mean"
        )
    if raster.scale < 0 and method in ("min", "max"):
        raise ValueError(
            f"scale_factor {raster.scale:g} is negative, so the {method} of what is stored is not "
            "that of the values; name the other of min and max"
        )
