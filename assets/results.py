"""What the three assets of the cube tell of a month on their pages, and the verdicts on it.

Belongs here: a report as Dagster's metadata and checks. Does not belong here: what is reported
(``neve.build.report``), pictures (``portrait``).
"""

from collections.abc import Iterator

import dagster as dg

from neve.build.checks import NAMES
from neve.build.report import MonthReport
from neve.cube.weighing import Weight
from neve.scenes.values import SceneList

SHOWN = 200  # scene ids, of what may be thousands
Shown = dict[str, dg.MetadataValue[str]]


def results(
    report: MonthReport,
    location: str,
    scenes: SceneList,
    shown: Shown,
    weights: dict[str, Weight],
) -> Iterator[dg.MaterializeResult[None]]:
    """One for each asset; ``location``: of the cube, ``shown``: pictures, ``weights``: by level."""
    published = {"snapshot": report.snapshot, "parent": report.parent, "store": location}
    rows = []
    for name, (height, width) in report.levels:
        weight = weights.get(name, Weight(0, 0))
        size = {"height": height, "width": width}
        size |= {"chunks": weight.chunks, "bytes": weight.bytes}
        rows.append(dg.TableRecord({"level": name, **size}))
    levels = dg.MetadataValue.table(rows)
    yield dg.MaterializeResult(
        "composite",
        metadata={
            **shown,
            "valid fraction": report.valid_pixels / max(report.pixels, 1),
            "median clear observations": report.median_count,
            "scenes used": len(report.used),
            "scenes listed": len(scenes.scenes),
            "scenes lost": dg.MetadataValue.json([list(loss) for loss in report.lost]),
            "bytes": sum(weight.bytes for weight in weights.values()),
            "chunks": sum(weight.chunks for weight in weights.values()),
            "seconds": report.seconds,
            "levels": levels,
            **published,
            "committed by": report.run_id,
            "scene ids": dg.MetadataValue.json([s.id for s in scenes.scenes][:SHOWN]),
            "blocks": report.blocks,
            "blocks recomputed": report.recomputed,
            "blocks resumed": report.resumed,
            **({"not staged": report.unstaged} if report.unstaged else {}),
            "pixels by observations": dg.MetadataValue.json(list(report.counts)),
            "fingerprint": scenes.fingerprint,
        },
        check_results=_verdicts(report),
    )
    yield dg.MaterializeResult("indices", metadata=published)
    yield dg.MaterializeResult("overviews", metadata={"levels": levels, **published})


def _verdicts(report: MonthReport) -> list[dg.AssetCheckResult]:
    """One for each declared check: Dagster asks for it even where there was nothing to judge."""
    judged = [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata=check.told,
        )
        for check in report.checks
    ]
    left = [name for name in NAMES if name not in {check.name for check in report.checks}]
    made = {"blocks recomputed": report.recomputed}
    return judged + [
        dg.AssetCheckResult(
            check_name=name, passed=True, description="nothing to judge", metadata=made
        )
        for name in left
    ]
