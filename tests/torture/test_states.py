"""A cube's life, by chance: after every step each version holds just what was published in it."""

import shutil
from collections.abc import Iterator
from random import Random

import pytest
from campaign import FULL, campaign
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from life import Life
from life_model import folder

# Two campaigns, so that two processes can live at a time.
HALVES = 2 if FULL else 1
LIVES, STEPS = (200 // HALVES, 75) if FULL else (4, 40)
BATCH = min(LIVES, 10)


@pytest.fixture(scope="module", autouse=True)
def swept() -> Iterator[None]:
    yield
    shutil.rmtree(folder())


@pytest.mark.parametrize("half", range(HALVES), ids=lambda half: f"half{half}")
def test_every_version_holds_what_was_published_in_it(half: int) -> None:
    """A trial is some lives; its outcome is the number of all steps."""

    def trial(chance: Random) -> str:
        before = Life.steps
        run_state_machine_as_test(
            seed(chance.getrandbits(32))(Life),
            settings=settings(
                max_examples=BATCH,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            ),
        )
        return f"{Life.steps - before} steps"

    seen = campaign(f"states-{half}", 1, LIVES // BATCH, trial, each=BATCH)
    steps = sum(int(told.split()[0]) * times for told, times in seen.items())
    assert steps >= (0.9 * LIVES * STEPS if FULL else 40)
