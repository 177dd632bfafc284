"""Spectral indices: the catalogue as data, own formulas, and one fused evaluator.

Belongs here: everything between an index's name and its values in a block. Does not belong
here: storage of arrays (``store``, ``layout``), coarser levels (``overviews``).

``select`` turns a region's choice into ``Index`` values; ``compute`` and ``evaluate`` turn
stored reflectance into the values that are stored, or that are derived on read, bit for bit
the same. Rooms: ``catalogue`` (spyndex's data), ``index`` (one index), ``selection`` (a
region's choice), ``audit`` (storage and display), ``expression`` (formula → tree), ``program``
(trees → instructions), ``kernel`` and ``plain`` (instructions → pixels), ``buffers`` (memory),
``evaluation`` (names in, names out).
"""

from neve.indices.buffers import Buffers
from neve.indices.catalogue import BANDS, RELEASES, domains, pinned
from neve.indices.evaluation import Evaluated, compute, evaluate
from neve.indices.index import Index, tree_of
from neve.indices.selection import DEFAULT_DOZEN, aliases, possible, select

__all__ = [
    "BANDS",
    "DEFAULT_DOZEN",
    "RELEASES",
    "Buffers",
    "Evaluated",
    "Index",
    "aliases",
    "compute",
    "domains",
    "evaluate",
    "pinned",
    "possible",
    "select",
    "tree_of",
]
