"""Scenes: STAC items turned into frozen, checked, ordered plain values.

``choosing`` makes a month's list, ``items`` and ``bands`` read one item, ``fields``, ``hrefs``
and ``footprints`` its parts; ``values`` holds what comes out. Does not belong here: searching
(``catalog``) and pixels (``reading``).
"""

from neve.scenes.values import FILL, REFLECTANCE_UNIT, Asset, Scene, SceneList, month_bounds

__all__ = ["FILL", "REFLECTANCE_UNIT", "Asset", "Scene", "SceneList", "month_bounds"]
