"""Quarantine: scenes whose pixels say that their item lies about the offset.

Belongs here: the gate over a scene's coarse pixels. Does not belong here: what items say
(``scenes``), the composite itself.

An item that calls an applied offset unapplied makes dark land negative by 0.1. Real surfaces
are seldom below −0.02 even in shadow, so a scene with many such clear pixels is left out. The
opposite lie (too bright by 0.1) and deserts, which stay positive, are not found this way.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from neve.compositing.composite import Recipe, compose
from neve.errors import BlockFailed
from neve.grid import Grid
from neve.reading.ranges import Reads
from neve.scenes.values import FILL, Scene, SceneList

IMPOSSIBLE = -200  # units of 0.0001
SUSPICIOUS_SHARE = 0.1
COARSENING = 32
# The darker a band is over land, the clearer it tells.
DARKEST_FIRST = ("coastal", "blue", "red", "green")
CONCURRENT_SCENES = 8


def quarantine(found: SceneList, recipe: Recipe, reads: Reads | None = None) -> SceneList:
    """The list without scenes that fail the gate; they join ``rejected`` with the reason.

    The fingerprint stays that of the catalogue's answer. A scene that cannot be read here is
    kept, as ``unjudged``: building its blocks retries, and fails loudly or records the loss.
    """
    with ThreadPoolExecutor(CONCURRENT_SCENES) as pool:
        shares = list(pool.map(lambda scene: impossible_share(scene, recipe, reads), found.scenes))
    reasons = dict(_reasons(found.scenes, shares))
    return replace(
        found,
        scenes=tuple(scene for scene in found.scenes if scene.id not in reasons),
        rejected=tuple(sorted({*found.rejected, *reasons.items()})),
        unjudged=tuple(
            s.id for s, share in zip(found.scenes, shares, strict=True) if share is None
        ),
    )


def impossible_share(scene: Scene, recipe: Recipe, reads: Reads | None) -> float | None:
    """Share of the scene's clear pixels below −0.02, judged on its overviews.

    None where it cannot be read, or where its item does not say where its image lies.
    """
    band = next((b for b in DARKEST_FIRST if b in recipe.bands), recipe.bands[0])
    grid = _coarse(scene, band)
    if grid is None:
        return None
    look = replace(recipe, bands=(band,), method="median", min_obs=1, source_overviews=True)
    try:
        values = compose(grid, [scene], replace(look, max_lost=0), reads).bands[band]
    except BlockFailed:
        return None
    clear = values[values != FILL]
    return float((clear < IMPOSSIBLE).mean()) if clear.size else 0.0


def _coarse(scene: Scene, band: str) -> Grid | None:
    image = scene.assets[band]
    if image.shape is None or image.transform is None:
        return None
    resolution, _, left, _, _, top = image.transform[:6]
    height, width = (max(side // COARSENING, 1) for side in image.shape)
    return Grid(scene.crs, resolution * COARSENING, left, top, width, height)


def _reasons(scenes: tuple[Scene, ...], shares: list[float | None]) -> Iterator[tuple[str, str]]:
    for scene, share in zip(scenes, shares, strict=True):
        if share is not None and share > SUSPICIOUS_SHARE:
            yield (
                scene.id,
                f"{scene.id} quarantined: {share:.0%} of its clear pixels are below −0.02 with "
                f"the offset that its item asks for (baseline {scene.baseline}); is it applied "
                "twice?",
            )
