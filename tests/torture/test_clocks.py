"""Wrong clocks, and tidying asked for in the middle of a run: refused or harmless.

The clock is wrong for the whole run, Python and Icechunk's Rust alike, by a small library that is
preloaded (``shift.c``); the file system's clock is right, as that of an object store would be.
"""

import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from campaign import campaign
from runs import Warm, warmed
from states import Cases, reading
from warm import PHASES

from neve.cube.locking import lock_of
from neve.cube.places import storage
from neve.cube.tidying import LEAST, tidy
from neve.errors import AskPerson

HOUR, DAY = 3600, 86_400
SHORT, CLOCKS, TIDIED_SHORT, TIDIED = 1, 10, 3, 40


@pytest.fixture(scope="module")
def warm(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    folder = tmp_path_factory.mktemp("clocks")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("shifting the clock takes a C compiler")
    source, library = Path(__file__).with_name("shift.c"), folder / "shift.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    with warmed(folder, scenes, LD_PRELOAD=str(library)) as found:
        yield found


@pytest.mark.parametrize("shift", [-DAY, -HOUR, HOUR, DAY])
def test_a_run_by_a_wrong_clock_publishes_nothing_wrong(warm: Warm, shift: int) -> None:
    def trial(chance: random.Random) -> str:
        name = chance.choice(Cases.NAMES)
        store = warm.fresh(name)
        with reading(store) as reader:
            warm.start(name, store, shift=shift)
            code = warm.answer()[1]
            reader.look_once()
        came = warm.cases.check_states(name, reader.seen)
        if code != "0":
            assert "set the machines' clocks" in warm.trouble(store)
            assert came == "before"
        warm.finish(name, store)
        warm.cases.check_done(name, store)
        return f"{'done' if code == '0' else 'refused'}, {came}"

    campaign(f"clock-{shift:+}-s", SHORT, CLOCKS, trial)


def test_tidying_in_the_middle_of_a_run_is_refused_or_harmless(warm: Warm) -> None:
    import icechunk as ic

    def trial(chance: random.Random) -> str:
        name, aim = chance.choice(Cases.NAMES[1:]), chance.choice(PHASES[1:6])
        store = warm.fresh(name)
        wrong = timedelta(seconds=chance.choice([-DAY, -HOUR, 0, HOUR, DAY]))
        days = chance.choice([0, 1, LEAST.days - 1, LEAST.days, 10 * LEAST.days])
        with reading(store) as reader:
            warm.start(name, store, aim, 1 + chance.randrange(len(warm.spent[name][aim])))
            assert warm.answer() == ["entered"]
            repository = ic.Repository.open(storage(str(store)))
            now = datetime.now(UTC) + wrong
            try:
                tidy(repository, timedelta(days=days), now, lock_of(str(store)))
                told = "harmless"
            except AskPerson:
                told = "refused"
            assert (told == "refused") == (days < LEAST.days)
            assert warm.answer() == ["exit", "0"], warm.trouble(store)
            reader.look_once()
        assert warm.cases.check_states(name, reader.seen) == "after"
        warm.cases.check_done(name, store)
        return told

    campaign("tidying-in-a-run", TIDIED_SHORT, TIDIED, trial)
