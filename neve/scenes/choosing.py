"""Choosing: the items that a search gave → a month's frozen, ordered, deduplicated list.

Belongs here: the half-open month, which of several copies counts, order. Does not belong here:
what one item says (``items``) and where items come from (``catalog``).
"""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neve.errors import AskPerson, SceneRejected
from neve.scenes.hrefs import ANYWHERE, Reach, checked_href
from neve.scenes.items import Copy, copy_of, item_id, item_time, scene_from_item
from neve.scenes.values import Scene, SceneList, fingerprint, month_bounds


@dataclass(frozen=True)
class _Candidate:
    scene: Scene
    copy: Copy
    text: str

    @property
    def newness(self) -> tuple[Any, ...]:
        return self.copy.age, self.scene.id, self.text


def choose(
    items: Iterable[object], bands: Sequence[str], month: str, reach: Reach = ANYWHERE
) -> SceneList:
    """The scenes of ``month`` ("2023-08", UTC, half-open), the same for any order of ``items``.

    Items of other months are dropped; those that fail preflight (``scene_from_item``) go to
    ``rejected``. Of copies of one observation (same datatake, tile and datastrip) the newest
    baseline counts, then the newest generation, then update, then the last id; the others go to
    ``rejected`` as superseded. The two halves of a tile (two datastrips) both stay. A copy that
    fails preflight never supersedes a sound one.
    """
    rejected: set[tuple[str, str]] = set()
    candidates = []
    for text, item in sorted(_distinct(items, rejected).items()):
        try:
            if _elsewhen(item, month):
                continue
            scene = scene_from_item(item, bands, reach)
            candidates.append(_Candidate(scene, copy_of(item), text))
        except SceneRejected as error:
            rejected.add((item_id(item), str(error)))
    candidates = _newest(candidates, lambda one: one.scene.id, rejected)
    candidates = _newest(candidates, lambda one: one.copy.observation or one.scene.id, rejected)
    scenes = tuple(sorted((one.scene for one in candidates), key=lambda one: (one.day, one.id)))
    return SceneList(scenes, tuple(sorted(rejected)), fingerprint(scenes))


def rechecked(found: SceneList, reach: Reach) -> SceneList:
    """The list, its hrefs held against ``reach`` anew: whoever kept it may have changed it.

    Raises AskPerson for one that leads elsewhere.
    """
    try:
        return replace(found, scenes=tuple(_rechecked(scene, reach) for scene in found.scenes))
    except SceneRejected as error:
        raise AskPerson(
            f"the list of scenes was changed where it was kept, or made for another catalogue: "
            f"{error}; materialise scenes again"
        ) from None


def _rechecked(scene: Scene, reach: Reach) -> Scene:
    assets = {
        name: replace(asset, href=checked_href(asset.href, reach), hosts=reach.trusted)
        for name, asset in scene.assets.items()
    }
    return replace(scene, assets=assets)


def _distinct(items: Iterable[object], rejected: set[tuple[str, str]]) -> dict[str, Any]:
    """Items by their canonical text, so that a page served twice counts once."""
    found = {}
    for item in items:
        try:
            found[json.dumps(item, sort_keys=True)] = item
        except (RecursionError, ValueError) as error:  # too deep, or an endless number
            rejected.add((item_id(item), f"item {item_id(item)}: {error}"))
    return found


def _elsewhen(item: object, month: str) -> bool:
    start, end = month_bounds(month)
    try:
        return not start <= item_time(item) < end
    except SceneRejected:
        return False  # preflight says why


def _newest(
    candidates: list[_Candidate],
    key: Callable[[_Candidate], Hashable],
    rejected: set[tuple[str, str]],
) -> list[_Candidate]:
    """The newest candidate of each key; the others are recorded."""
    best: dict[Hashable, _Candidate] = {}
    for one in sorted(candidates, key=lambda one: one.newness):
        older = best.get(key(one))
        if older is not None:
            rejected.add((older.scene.id, _superseded(older, one)))
        best[key(one)] = one
    return list(best.values())


def _superseded(older: _Candidate, newer: _Candidate) -> str:
    ages = [
        f"baseline {one.copy.age[0] or '?'}, generated {one.copy.age[1]:%Y-%m-%dT%H:%M:%SZ}"
        for one in (older, newer)
    ]
    return f"item {older.scene.id} ({ages[0]}): superseded by {newer.scene.id} ({ages[1]})"
