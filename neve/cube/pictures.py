"""Pictures of a cube: a month in true colour or one variable in its colours, and their sequence.

Belongs here: from the values of a level to an image. Does not belong here: maps' tiles, files.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from neve.cube.sampling import check_plane, grid_of
from neve.errors import AskPerson
from neve.grid import Grid

RGB = ("red", "green", "blue")
# Land seldom reflects more in the visible; brighter pixels are shown as white.
BRIGHTEST = 0.3
GAP_COLOUR = (24, 26, 32)
CAPTION = 18


def months(tree: xr.DataTree) -> list[str]:
    """The months ("YYYY-MM") of a cube, in order."""
    return [str(time)[:7] for time in tree["1x/time"].to_numpy()]


def picture(
    tree: xr.DataTree,
    month: str,
    variable: str | None = None,
    widest: int = 1024,
    window: Grid | None = None,
) -> Image.Image:
    """A month in true colour, or one variable between the ends of its display range.

    Taken from the finest level at which ``window``, a piece of the native grid (else all of it),
    is at most ``widest`` pixels a side; where none is, from every nth pixel of the coarsest.
    Pixels without data are dark grey. A cube without red, green and blue shows its first variable
    instead. Raises ``AskPerson`` for a month or variable that the cube has not.
    """
    window = window or grid_of(tree)
    factors = sorted(int(name[:-1]) for name in tree.children if name.endswith("x"))
    fitting = (f for f in factors if max(window.level(f).shape) <= widest)
    factor = next(fitting, factors[-1])
    level = tree[f"{factor}x"].to_dataset()
    if month not in months(tree):
        raise AskPerson(f"no month {month!r}; there are {', '.join(months(tree))}")
    if variable is not None:
        check_plane(level, variable)
    part, (_, y, x) = window.level(factor), level["count"].dims
    step = -(-max(part.shape) // widest)
    rows = slice(part.row, part.row + part.height, step)
    shown = level.isel({y: rows, x: slice(part.col, part.col + part.width, step)}).sel(
        time=f"{month}-01"
    )
    if variable is None and all(band in level for band in RGB):
        return Image.fromarray(_tone(np.stack([shown[band].to_numpy() for band in RGB], axis=-1)))
    return Image.fromarray(_coloured(shown[variable or str(next(iter(level.data_vars)))]))


def captioned(image: Image.Image, text: str) -> Image.Image:
    """The image with a line of text below it: what a picture on its own must say of itself."""
    whole = Image.new("RGB", (image.width, image.height + CAPTION), GAP_COLOUR)
    whole.paste(image)
    ImageDraw.Draw(whole).text((6, image.height + 3), text, fill="white")
    return whole


def strip(images: Sequence[Image.Image]) -> Image.Image:
    """The images beside each other, in order: one strip."""
    whole = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    return whole


def _coloured(values: xr.DataArray) -> NDArray[np.uint8]:
    low, high = values.attrs.get("display_range") or _percentiles(values)
    scaled = (values.to_numpy() - low) / (high - low or 1)
    colours = mpl.colormaps[values.attrs.get("colormap", "viridis")](scaled, bytes=True)[..., :3]
    return np.where(np.isnan(scaled)[..., None], GAP_COLOUR, colours).astype(np.uint8)


def _percentiles(values: xr.DataArray) -> tuple[float, float]:
    held = values.to_numpy()[np.isfinite(values.to_numpy())]
    low, high = np.percentile(held, (2, 98)) if held.size else (0.0, 1.0)
    return float(low), float(high)


def _tone(reflectance: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    valid = np.isfinite(reflectance).all(axis=-1)
    shown = np.clip(np.nan_to_num(reflectance) / BRIGHTEST, 0, 1) ** (1 / 1.6)
    return np.where(valid[..., None], np.rint(shown * 255), GAP_COLOUR).astype(np.uint8)
