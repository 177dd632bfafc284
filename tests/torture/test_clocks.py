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
from cases import Cases
from runs import Warm, warmed
from states import branches, reading
from warm import PHASES

from neve.cube.history import last_changes
from neve.cube.locking import lock_of
from neve.cube.places import storage
from neve.cube.store import LONGEST, MAIN
from neve.cube.tidying import LEAST, tidy
from neve.errors import AskPerson

SECOND, HOUR, DAY = timedelta(seconds=1), 3600, 86_400
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


# How tidying is asked for: days it is to keep, how far its clock is ahead, the age of the run.
# Where the guard that is named were missing, it would delete what the run has written.
ASKED = {
    "least": ((0, 1, LEAST.days - 1), (HOUR, DAY), (0,)),  # ``tidying.LEAST``
    "longest": (  # ``store.LONGEST``
        (LEAST.days,),
        (LEAST // SECOND + HOUR, LEAST // SECOND + DAY),
        (LONGEST // SECOND + HOUR, LEAST // SECOND + DAY),
    ),
    "none": ((LEAST.days, 10 * LEAST.days), (-DAY, -HOUR, 0, HOUR, DAY), (0,)),
}


def waiting(warm: Warm, name: str, aim: str, nth: int, **more: int) -> Path:
    """A run that waits in the phase; the last times may be under the lock, where none can wait."""
    for place in (nth, 1):
        store = warm.fresh(name)
        warm.start(name, store, aim, place, **more)
        if warm.answer() == ["entered"]:
            return store
    raise AssertionError(f"never entered {aim}")


def test_tidying_in_the_middle_of_a_run_is_refused_or_harmless(warm: Warm) -> None:
    """The run waits meanwhile; sometimes another writer has moved main."""
    import icechunk as ic

    def trial(chance: random.Random) -> str:
        name, aim = chance.choice(Cases.NAMES[1:]), chance.choice(PHASES[1:6])
        guard = chance.choice(list(ASKED))
        days, ahead, age = map(chance.choice, ASKED[guard])
        nth = 1 + chance.randrange(len(warm.spent[name][aim]))
        staged = int(aim == "staging" or chance.random() < 0.5)
        store = waiting(warm, name, aim, nth, age=age, staged=staged)
        with reading(store) as reader:
            repository = ic.Repository.open(storage(str(store)))
            if chance.random() < 0.5:
                session = repository.writable_session(MAIN)
                session.commit("nothing new", allow_empty=True)
            now = datetime.now(UTC) + timedelta(seconds=ahead)
            try:
                tidy(repository, timedelta(days=days), now, lock_of(str(store)))
                told = "harmless"
            except AskPerson:
                told = "refused"
            Path(f"{store}.go").touch()
            assert (told == "refused") == (guard == "least")
            assert warm.answer() == ["exit", "0"], warm.trouble(store)
            reader.look_once()
        assert warm.cases.check_states(name, reader.seen) == "after"
        assert branches(store) == {MAIN}
        left = {one.month: one.scenes for one in last_changes(repository)}
        assert left == {
            month: scenes for month, scenes in reversed(warm.cases.history[name]) if month
        }
        return f"{guard}: {told}"

    campaign("tidying-in-a-run", TIDIED_SHORT, TIDIED, trial)
