"""Campaigns go on where they were, and their report hides nothing."""

from pathlib import Path

import abreast
import campaign
import pytest
import report


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "FULL", True)
    monkeypatch.setattr(campaign, "KEPT", tmp_path)
    return lambda: report.row("made-up", campaign.read(tmp_path / "made-up.jsonl"))


def test_a_trial_that_broke_its_promise_once_stays_broken(kept) -> None:
    told = iter(["same", "SILENT", "same", None, "same", "same"])
    drawn = []

    def trial(chance):
        drawn.append(chance.random())
        outcome = next(told)
        assert outcome is not None
        return outcome

    with pytest.raises(AssertionError) as caught:
        campaign.campaign("made-up", 1, 5, trial)
    assert caught.value.__notes__ == ["trial 3 of campaign made-up"]
    found = kept()
    assert found[1:4] == ("4 of 5: **not complete**", "1 × SILENT; 1 × raised; 2 × same", "2")
    assert campaign.campaign("made-up", 1, 5, trial) == {"same": 4, "SILENT": 1}
    assert drawn[3] == drawn[4], "the trial is aimed alike"
    assert kept()[1:4] == ("5", "1 × SILENT; 1 × raised; 3 × same", "2")
    assert campaign.campaign("made-up", 1, 5, trial).total() == 5, "nothing is left to do"


def test_no_campaign_is_forgotten() -> None:
    run = {file for file, _ in (*abreast.ABREAST, *abreast.ALONE)}
    here = {file.stem for file in Path(__file__).parent.glob("test_*.py")}
    assert run == here | {"../test_server_fuzz"}


def test_a_trial_of_many_cases_counts_for_all(kept) -> None:
    campaign.campaign("made-up", 1, 3, lambda chance: "75 steps", each=20)
    assert kept() == ("made-up", "60", "3 × 75 steps", "0", "5 %")


def test_the_bound_is_wilsons_or_the_rule_of_three() -> None:
    assert campaign.bound(300) == 0.01
    assert campaign.bound(2) == 1
    assert campaign.bound(100, 1) == pytest.approx(0.0545, abs=1e-4)
