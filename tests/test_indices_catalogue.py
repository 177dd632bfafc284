"""The catalogue: which indices there are, what a choice gives, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import spyndex
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps

from neve.errors import RegionInvalid
from neve.indices import DEFAULT_DOZEN, RELEASES, aliases, audit, domains, evaluate, plain, select
from neve.indices.catalogue import BANDS, CORRECTED

L2A = tuple(BANDS.values())
ELEVEN = tuple(band for band in L2A if band != "nir09")
RGBN = ("red", "green", "blue", "nir")
ALL = select("all", L2A)


def _needs(name: str) -> set[str]:
    return set(spyndex.indices[name].bands)


def test_every_index_of_sentinel_2_but_the_one_that_needs_par() -> None:
    names = {n for n, item in spyndex.indices.items() if "Sentinel-2" in item.platforms}
    assert len(names) == 245
    assert names - {index.name for index in ALL} == {"NIRvP"}
    kernels = {name for name in names if any(b[0] == "k" and len(b) > 1 for b in _needs(name))}
    waves = {name for name in names if any(b.startswith("lambda") for b in _needs(name))}
    alone = {name for name in names if _needs(name) <= set(BANDS)}
    assert (len(alone), len(waves), len(kernels)) == (198, 6, 5)
    assert len(names - kernels - waves - alone - {"NIRvP"}) == 35


def test_release_0_9_gives_the_229_of_the_reference_cube_from_eleven_bands() -> None:
    pinned = select("all", ELEVEN, "0.9", {"PAR": 1.0})
    assert len(pinned) == 229
    assert len(select("all", ELEVEN, "0.9")) == 228
    newest = {name for name in spyndex.indices if name not in {i.name for i in pinned}}
    assert {"CI1SWIR", "RWI", "GRARI", "AshburnVI"} <= newest
    assert next(i for i in pinned if i.name == "GARI").formula == CORRECTED["GARI"][1]
    assert select(["GARI"], ELEVEN, "0.12") == select(["GARI"], ELEVEN)


@pytest.mark.parametrize(
    ("release", "count"),
    [("0.5", 198), ("0.6", 210), ("0.7", 218), ("0.8", 228), ("0.9", 229), ("0.10", 238),
     ("0.11", 244), ("0.12", 245)],
)  # fmt: skip
def test_each_release_has_as_many_as_it_listed(release: str, count: int) -> None:
    assert len(select("all", ELEVEN, release, {"PAR": 1.0})) == count


def test_the_installed_catalogue_is_the_newest_release_known_here() -> None:
    added = max(item.date_of_addition for item in spyndex.indices.values())
    assert added <= max(RELEASES.values())
    assert spyndex.__version__.startswith(max(RELEASES, key=RELEASES.__getitem__))


@pytest.mark.parametrize("index", ALL, ids=lambda index: index.name)
def test_an_index_says_what_the_catalogue_says(index) -> None:
    item = spyndex.indices[index.name]
    letters = {b for b in item.bands if b in BANDS}
    for kernel in (b for b in item.bands if b[0] == "k" and len(b) == 3):
        letters |= set(kernel[1:]) & set(BANDS)
    assert index.bands == tuple(sorted(BANDS[letter] for letter in letters))
    assert index.formula.replace(" ", "") == item.formula
    assert (index.long_name, index.domain, index.reference) == (
        item.long_name, item.application_domain, item.reference,
    )  # fmt: skip
    assert index.display[0] < index.display[1]
    assert index.colormap in colormaps
    named = {name for name, _ in index.constants}
    assert {b for b in item.bands if b not in BANDS and b[0] != "k"} <= named | {"k"}


def test_common_names_are_those_of_the_catalogue() -> None:
    for letter, name in BANDS.items():
        if not letter.startswith("RE"):  # spyndex calls all three "rededge"
            assert spyndex.bands[letter].common_name == name


def test_constants_are_the_catalogues_but_where_its_text_says_otherwise() -> None:
    for index in ALL:
        for name, value in index.constants:
            if name.startswith("lambda"):
                band = spyndex.bands[name.removeprefix("lambda")]
                assert value == band.sentinel2a.wavelength
            elif index.name in ("WCI1", "WCI2"):
                assert (name, value) == ("epsilon", 1e-10)
            else:
                assert value == spyndex.constants[name].default


def test_the_dozen_and_what_few_bands_allow_of_it() -> None:
    assert tuple(i.name for i in select("default", L2A)) == DEFAULT_DOZEN
    assert len(DEFAULT_DOZEN) == 12
    few = select("default", RGBN)
    assert {i.name for i in few} == {"NDVI", "EVI", "kNDVI", "NIRv", "MSAVI", "NDWI"}


def test_a_domain_a_list_and_own_formulas() -> None:
    water = select("water", RGBN)
    assert water
    assert all(i.domain == "water" and set(i.bands) <= set(RGBN) for i in water)
    assert "water" in domains()
    mixed = select(["NDVI", {"MYNDX": "(nir - red) / (N + red)"}, "burn", "NDVI"], RGBN)
    names = [i.name for i in mixed]
    assert names[:2] == ["NDVI", "MYNDX"]
    assert len(names) == len(set(names)) > 2
    assert aliases(mixed)["MYNDX"] == "NDVI"
    own = select([{"SOIL": "(1 + L) * (N - R) / (N + R + L)"}], RGBN, constants={"L": 0.5})[0]
    assert own.constants == (("L", 0.5),)
    assert own.domain == "own"
    fixed = select(["kNDVI"], RGBN, constants={"sigma": 0.15})[0]
    assert fixed.constants == (("sigma", 0.15),)
    assert fixed.tree != select(["kNDVI"], RGBN)[0].tree


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (["NDXX"], ["NDXX", "domain"]),
        (["NBR"], ["NBR", "swir22", "red, green"]),
        ("snowy", ["snowy", "water"]),
        (["NIRvP"], ["NIRvP", "PAR"]),
        ([{"NDVI": "N / R"}], ["NDVI", "another name"]),
        ([{"red": "N / R"}], ["red", "another name"]),
        ([{"1up": "N / R"}], ["1up", "letter"]),
        ([{"a/b": "N / R"}], ["a/b"]),
        ([{"MINE": "N / Q"}], ["MINE", "'Q'", "unknown"]),
        ([{"MINE": "N.real"}], ["MINE", "not understood"]),
        ([{"MINE": "1 + 2"}], ["MINE", "no band"]),
        ([{"MINE": 3}], ["MINE", "text"]),
        ([{"MINE": "N / S1"}], ["MINE", "swir16"]),
        ([{"MINE": "N / R"}, {"MINE": "R / N"}], ["MINE", "twice"]),
        ([3], ["3"]),
    ],
)
def test_a_wrong_choice_is_refused_with_the_name_and_the_fix(choice, words: list[str]) -> None:
    with pytest.raises(RegionInvalid) as refused:
        select(choice, RGBN)
    for word in words:
        assert word in str(refused.value)


def test_wrong_constants_and_catalogues_are_refused() -> None:
    for constants in ({"zeta": 1.0}, {"L": "1"}, {"L": True}, {"L": float("nan")}):
        with pytest.raises(RegionInvalid):
            select("default", RGBN, constants=constants)
    with pytest.raises(RegionInvalid, match="0\\.4"):
        select("default", RGBN, "0.4")
    with pytest.raises(RegionInvalid, match="swir22"):
        select(["NBR"], RGBN)
    with pytest.raises(RegionInvalid, match="no index"):
        select("all", ["nir09"])


def test_aliases_have_the_same_bits_and_nothing_else_has() -> None:
    rng = np.random.default_rng(4)
    stored = {b: rng.integers(-50, 9000, 4000).astype(np.int16) for b in L2A}
    for band in stored.values():
        band[rng.random(4000) < 0.02] = -32768
    repeats = aliases(ALL)
    values = {}
    for index in ALL:  # each alone, so that no array can be shared
        values[index.name] = evaluate([index], stored, engine=plain).values[index.name].tobytes()
    assert len(repeats) == 29
    for name, first in repeats.items():
        assert values[name] == values[first], (name, first)
    distinct = [values[i.name] for i in ALL if i.name not in repeats]
    assert len(set(distinct)) == len(distinct)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_what_int16_cannot_hold_is_float32(seed: int) -> None:
    """No value of an int16 index passes its range, whatever reflectances up to 1.6."""
    rng = np.random.default_rng(seed)
    stored = {b: (10 ** rng.uniform(0, 4.2041, 3000)).astype(np.int16) for b in L2A}
    small = [i for i in ALL if i.dtype == "int16"]
    floats = evaluate([_as_float(i) for i in small], stored).values
    for index in small:
        assert np.nanmax(np.abs(floats[index.name]), initial=0) <= audit.LARGEST, index.name


def _as_float(index):
    from dataclasses import replace

    return replace(index, dtype="float32")


def test_known_cases_of_the_audit() -> None:
    dtypes = {i.name: i.dtype for i in ALL}
    assert {dtypes[n] for n in ("NDVI", "NBR", "SAVI", "kNDVI", "BITM", "NIRv")} == {"int16"}
    assert {dtypes[n] for n in ("EVI", "SR", "MTCI", "S2REP", "BAI", "GEMI")} == {"float32"}
    assert [dtypes[i] for i in ("NDVI",)] == ["int16"]
    ndvi = select(["NDVI"], RGBN)[0]
    assert -0.6 < ndvi.display[0] < 0 < 0.5 < ndvi.display[1] < 1
    faint = select([{"FAINT": "N * R * 0.01"}], RGBN)[0]
    assert faint.dtype == "float32"  # bounded, but int16 would leave it a few steps


def test_the_table_in_the_docs_is_the_audits() -> None:
    from indices_table import table

    page = Path(__file__).parent.parent / "docs" / "indices.md"
    assert table() in page.read_text("utf-8"), "run python tests/indices_table.py"
