"""Selection: which indices a region asks for.

Belongs here: how a choice (names, domains, own formulas) becomes ``Index`` values, and what is
said of a wrong one. Does not belong here: the catalogue's data (``catalogue``), storage and
display (``audit``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from neve.errors import RegionInvalid
from neve.indices import audit, expression
from neve.indices.catalogue import (
    BANDS,
    OWN_CONSTANTS,
    Entry,
    defaults,
    domains,
    own_constants,
    packaged,
    release,
)
from neve.indices.expression import Expr, FormulaError
from neve.indices.index import Index, constants_used, tree_of

DEFAULT_DOZEN = (
    "NDVI",
    "EVI",
    "kNDVI",
    "NIRv",
    "MSAVI",
    "CIRE",
    "NDREI",
    "NDMI",
    "NDWI",
    "MNDWI",
    "NBR",
    "BI",
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


def select(
    choice: str | Sequence[str | Mapping[str, str]],
    bands: Sequence[str],
    catalogue: str = "default",
    constants: Mapping[str, float] | None = None,
) -> tuple[Index, ...]:
    """The indices that a region asks for, in its order, each once.

    ``choice``: "default" (the dozen), "all", a domain ("water"), a name, or a list of those
    and of own formulas ``{"MYNDX": "(nir - red) / (nir + red)"}``. "default", "all" and
    domains give what ``bands`` (STAC common names) allow; an index that is named must be
    possible. ``catalogue``: "default" (the installed spyndex) or a release of it to pin
    ("0.9"). ``constants`` replaces default constants; with ``PAR`` given, NIRvP is possible.
    Raises RegionInvalid naming the index, what is missing or wrong, and the fix.
    """
    values = own_constants(constants or {})
    known = release(catalogue)
    found: dict[str, Index] = {}
    for entry in [choice] if isinstance(choice, str | Mapping) else choice:
        for index in _entry(entry, known, bands, values):
            if found.setdefault(index.name, index) != index:
                raise RegionInvalid(f"indices: {index.name} is there twice; rename one of them")
    return tuple(found.values())


def possible(
    bands: Sequence[str], catalogue: str = "default", constants: Mapping[str, float] | None = None
) -> tuple[Index, ...]:
    """All of a catalogue that ``bands`` allow, maybe none; arguments as in ``select``."""
    return tuple(_allowed(release(catalogue).values(), bands, own_constants(constants or {})))


def aliases(indices: Sequence[Index]) -> dict[str, str]:
    """Name → name of the first index with the very same values, for all that repeat another.

    Such indices are computed and stored once. Equal means bit for bit, nodata included.
    """
    first: dict[Expr, str] = {}
    repeats = {}
    for index in indices:
        if (name := first.setdefault(index.tree, index.name)) != index.name:
            repeats[index.name] = name
    return repeats


def _entry(
    entry: str | Mapping[str, str],
    known: Mapping[str, Entry],
    bands: Sequence[str],
    constants: Mapping[str, float],
) -> list[Index]:
    """What one entry of a choice stands for."""
    if not isinstance(entry, str | Mapping):
        raise RegionInvalid(f"indices: {entry!r} must be a name or a formula {{NAME: text}}")
    if isinstance(entry, Mapping):
        return [_own(name, text, bands, constants) for name, text in entry.items()]
    if entry in known:
        return [_possible(_catalogued(known[entry], constants), bands)]
    if entry == "default":
        group = [known[name] for name in DEFAULT_DOZEN if name in known]
    elif entry == "all":
        group = list(known.values())
    else:
        group = [item for item in known.values() if item["application_domain"] == entry]
    if not group:
        raise RegionInvalid(
            f"indices: {entry!r} is no index of Sentinel-2 in this catalogue and no domain; "
            f"domains are {', '.join(domains())}; names are spyndex's, as in NDVI"
        )
    if not (made := _allowed(group, bands, constants)):
        raise RegionInvalid(
            f"indices: no index of {entry!r} can be had from the bands {', '.join(bands)}; "
            "add bands to the region or choose others"
        )
    return made


def _allowed(
    group: Iterable[Entry], bands: Sequence[str], constants: Mapping[str, float]
) -> list[Index]:
    """Those of a group that the bands, and PAR where it is needed, allow."""
    usable = [item for item in group if "PAR" not in item["bands"] or "PAR" in constants]
    made = [_catalogued(item, constants) for item in usable]
    return [index for index in made if set(index.bands) <= set(bands)]


def _possible(index: Index, bands: Sequence[str]) -> Index:
    missing = [band for band in index.bands if band not in bands]
    if missing:
        raise RegionInvalid(
            f"indices: {index.name} needs the band {', '.join(missing)}; add it to the "
            f"region's bands ({', '.join(bands)}) or leave {index.name} out"
        )
    return index


def _catalogued(item: Entry, constants: Mapping[str, float]) -> Index:
    values = {**defaults(), **OWN_CONSTANTS.get(item["short_name"], {}), **constants}
    return _index(
        item["short_name"],
        item["formula"],
        (item["long_name"], item["application_domain"], item["reference"]),
        values,
    )


def _own(name: str, text: str, bands: Sequence[str], constants: Mapping[str, float]) -> Index:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegionInvalid(
            f"indices: {name!r} cannot be the name of an index; use a letter, then up to 31 "
            "letters, digits or _"
        )
    if name in packaged("spectral-indices-dict.json")["SpectralIndices"]:
        raise RegionInvalid(f"indices: {name} is an index of the catalogue; use another name")
    if name in BANDS.values() or name in {
        "count",
        "valid_fraction",
        "time",
        "x",
        "y",
        "spatial_ref",
    }:
        raise RegionInvalid(f"indices: {name} names another variable; use another name")
    if not isinstance(text, str):
        raise RegionInvalid(f"indices: the formula of {name} must be a text, as in '(N-R)/(N+R)'")
    index = _index(name, text, (name, "own", ""), {**defaults(), **constants})
    return _possible(index, bands)


def _index(
    name: str, formula: str, words: tuple[str, str, str], values: Mapping[str, float]
) -> Index:
    """An index with its storage and display; ``words`` are long name, domain, reference."""
    used = constants_used(formula) & values.keys()
    constants = tuple(sorted((key, values[key]) for key in used))
    try:
        tree = tree_of(formula, constants)
    except FormulaError as error:
        raise RegionInvalid(f"indices: the formula of {name}, {formula!r}: {error}") from error
    needed = expression.bands(tree)
    if not needed:
        raise RegionInvalid(f"indices: the formula of {name}, {formula!r}, holds no band")
    long_name, domain, reference = words
    look = audit.look(tree, domain)
    return Index(
        name=name,
        formula=formula,
        long_name=long_name,
        domain=domain,
        reference=reference,
        bands=needed,
        dtype=look.dtype,
        display=look.display,
        colormap=look.colormap,
        constants=constants,
    )
