"""Passing trouble ends a try of a step, not its run; all else ends the run at once."""

import os
from contextvars import Context

import dagster as dg
import pytest

from assets import month_assets, partition
from neve.errors import CatalogUnavailable, Retry
from pipelines.month import QUIET
from pipelines.partitions import month_partitions, partition_key
from pipelines.settings import resources
from resources.catalogs import Catalogs
from resources.cubes import Cubes


@pytest.fixture
def materialise(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(partition, "PAUSE", 0.1)
    wired = resources(
        os.environ
        | {"NEVE_REGIONS": str(tiny.file), "NEVE_WORK": str(tmp_path), "NEVE_WORKERS": "-1"}
    )

    def run(**more):
        # Dagster keeps an instance in the context, which the next run of this process would meet.
        return Context().run(
            dg.materialize,
            month_assets(month_partitions([tiny.region])),
            partition_key=partition_key("tiny", "2024-06"),
            resources=wired,
            run_config=QUIET,
            **more,
        )

    return run


def restarts(result):
    return [e.step_key for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]


def fail(monkeypatch, resource, name, times, error):
    """A method of a resource fails so many times; returns the list of its calls."""
    real, calls = getattr(resource, name), []

    def method(self, region):
        calls.append(region.name)
        if len(calls) <= times:
            raise error
        return real(self, region)

    monkeypatch.setattr(resource, name, method)
    return calls


def test_passing_trouble_costs_tries_of_its_step(materialise, monkeypatch):
    fail(monkeypatch, Catalogs, "catalog", 2, CatalogUnavailable("down"))
    fail(monkeypatch, Cubes, "cube", 1, Retry("held by another writer"))
    result = materialise()
    assert result.success and restarts(result) == ["scenes", "scenes", "cube"]


@pytest.mark.parametrize(
    ("error", "tags", "tries"),
    [
        (CatalogUnavailable("down"), {}, 3),
        (ValueError("a mistake"), {}, 1),
        # ``neve build``: a person waits, and is told the error itself.
        (CatalogUnavailable("down"), {partition.MAX_RETRIES: "0"}, 1),
    ],
)
def test_nothing_is_tried_for_ever(materialise, monkeypatch, error, tags, tries):
    calls = fail(monkeypatch, Catalogs, "catalog", 99, error)
    with pytest.raises(Exception, match=r"a mistake|down|Exceeded max_retries of 2") as caught:
        materialise(tags=tags)
    assert len(calls) == tries
    assert isinstance(caught.value, Retry) == bool(tags)
