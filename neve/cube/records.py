"""Records: what is known of each block of a month, as the arrays of the group ``blocks``.

Belongs here: these arrays as plain values, read and written month by month. Does not belong
here: when they change (``build``), commits (``store``).

They are published with the pixels, so that the next build of the month knows which blocks are
still right, and the month's totals need no pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.abc.store import Store

from neve.cube import chunks, codec, handles, stored_chunks
from neve.cube.layout import (
    CLEAR,
    CLOUDY,
    LAND_FILTERED,
    NEVER,
    NO_SCENES,
    STATUS_MEANINGS,
    Layout,
)
from neve.grid import Block

# A UTC month holds days of the solar calendar from the last of the month before to the first
# of the next one.
MOST_DAYS = 33
# Values of a block in a chunk: those of all indices would make chunks of 60 MB.
MOST_A_CHUNK = 64


@dataclass(frozen=True)
class Array:
    """How one of the arrays is stored: (time, block_row, block_col), and ``further`` axes."""

    dtype: str
    attributes: dict[str, Any]
    further: dict[str, int]


ARRAYS = {
    "status": Array(
        "uint8",
        {
            "long_name": "what became of each block",
            "flag_values": [NEVER, LAND_FILTERED, NO_SCENES, CLOUDY, CLEAR],
            "flag_meanings": STATUS_MEANINGS,
        },
        {},
    ),
    "fingerprint": Array(
        "uint64", {"long_name": "what each block was made of; 0: to be made again"}, {}
    ),
    "valid_pixels": Array("uint32", {"long_name": "native pixels with data", "units": "1"}, {}),
    "observations": Array(
        "uint32",
        {"long_name": "native pixels with 0, 1, 2, … clear observations", "units": "1"},
        {"observations": MOST_DAYS + 1},
    ),
}


INVALID = {
    "long_name": "native pixels whose bands are there but that have no value of an index",
    "units": "1",
}


def arrays(layout: Layout) -> dict[str, Array]:
    """All arrays of a cube: ``invalid`` only where it stores indices."""
    if not layout.stored:
        return ARRAYS
    return ARRAYS | {"invalid": Array("uint32", INVALID, {"index": len(layout.stored)})}


@dataclass(frozen=True)
class Records:
    """One month's records of the blocks in a region's window, and of none outside of it.

    (block_row, block_col) arrays; ``observations`` has one axis more, as has ``invalid``: the
    stored indices, in the layout's order. ``fingerprint`` is 0 where
    nothing is known, or where a scene could not be read. A zone has many more blocks than a
    region's window; those outside belong to others.
    """

    month_index: int
    window: tuple[slice, slice]
    status: NDArray[np.uint8]
    fingerprint: NDArray[np.uint64]
    valid_pixels: NDArray[np.uint32]
    observations: NDArray[np.uint32]
    invalid: NDArray[np.uint32]

    @classmethod
    def read(cls, layout: Layout, store: Store, month_index: int) -> "Records":
        """As the cube has them."""
        window, names = layout.blocks_window(), list(arrays(layout))
        month = slice(month_index, month_index + 1)
        cuts = [
            (array, (month, *window, *(slice(0, n) for n in array.shape[3:])))
            for array in _opened(store, names)
        ]
        values = zip(names, stored_chunks.read_each(cuts), strict=True)
        found: dict[str, Any] = {name: value[0] for name, value in values}
        none = np.zeros((*found["status"].shape, 0), np.uint32)
        return cls(month_index, window, **{"invalid": none, **found})

    def write(self, store: Store) -> None:
        """Put the window's records back."""
        names = [*ARRAYS, *(["invalid"] if self.invalid.size else [])]
        starts = self.month_index, *(s.start for s in self.window), 0
        # Other regions of a zone have records in the same chunks.
        chunks.amend(
            [
                (array, starts[: array.ndim], getattr(self, name)[None])
                for name, array in zip(names, _opened(store, names), strict=True)
            ]
        )

    def place(self, block: Block) -> tuple[int, int]:
        """Where in the arrays a block is."""
        rows, cols = self.window
        return block.i - rows.start, block.j - cols.start

    def leave_out(self, block: Block) -> None:
        """The record of a block that is left out: nothing but that."""
        for name in (*ARRAYS, "invalid"):
            getattr(self, name)[self.place(block)] = 0
        self.status[self.place(block)] = LAND_FILTERED

    def totals(self, blocks: Sequence[Block]) -> tuple[int, tuple[int, ...]]:
        """Native pixels with data, and with 0, 1, 2, … clear observations, of some blocks."""
        rows, cols = np.array([self.place(block) for block in blocks], int).reshape(-1, 2).T
        counts = self.observations[rows, cols].sum(axis=0, dtype=np.int64)
        return int(self.valid_pixels[rows, cols].sum()), tuple(
            np.trim_zeros(counts, "b").tolist()
        ) or (0,)


def _opened(store: Store, names: Sequence[str]) -> list[codec.Array]:
    return handles.opened(store, [f"blocks/{name}" for name in names])
