"""Cuts: windows of arrays as one slice per axis, and the chunks that they touch.

Belongs here: arithmetic on cuts. Does not belong here: reading and writing them (``cube``), pieces
of the ground (``grid``).
"""

from collections.abc import Iterator, Sequence
from itertools import product

Cut = tuple[slice, ...]
Place = tuple[int, ...]  # of a chunk, counted in chunks from the array's origin


def places(cut: Sequence[slice], unit: Sequence[int]) -> Iterator[Place]:
    """The places of the chunks, ``unit`` long on each axis, that a cut touches; in C order."""
    sizes = zip(cut, unit, strict=True)
    return product(*(range(s.start // n, (s.stop - 1) // n + 1) for s, n in sizes))


def bounds(place: Sequence[int], unit: Sequence[int], shape: Sequence[int]) -> Cut:
    """A chunk as a cut of an array of this shape, which ends it at its edges."""
    sizes = zip(place, unit, shape, strict=True)
    return tuple(slice(k * n, min((k + 1) * n, size)) for k, n, size in sizes)


def around(cut: Sequence[slice], unit: Sequence[int], shape: Sequence[int]) -> Cut:
    """What all chunks that a cut touches make up, in an array of this shape."""
    sizes = zip(cut, unit, shape, strict=True)
    return tuple(slice(s.start // n * n, min(-(-s.stop // n) * n, size)) for s, n, size in sizes)


def overlap(one: Sequence[slice], other: Sequence[slice]) -> tuple[Cut, Cut]:
    """What two cuts of one array share, counted from the start of each."""
    shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    first, second = (
        tuple(
            slice(start - s.start, stop - s.start)
            for (start, stop), s in zip(shared, cut, strict=True)
        )
        for cut in (one, other)
    )
    return first, second
