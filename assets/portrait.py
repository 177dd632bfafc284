"""What a published month looks like on its page in the Dagster UI."""

import base64
import io

import dagster as dg
import xarray as xr
from PIL import Image

from neve.cube.pictures import picture
from neve.grid import Grid

# Markdown is shown inline below 1,000 characters.
MOST_INLINE = 980
THUMBNAIL, QUICKLOOK = (80, 64), (480, 480)


def portrait(tree: xr.DataTree, month: str, window: Grid) -> dict[str, dg.MetadataValue[str]]:
    """A thumbnail that shows at once, and a quicklook behind a link, of a piece of the grid."""
    seen = picture(tree, month, widest=2 * QUICKLOOK[0], window=window)
    small, large = seen.copy(), seen
    small.thumbnail(THUMBNAIL)
    large.thumbnail(QUICKLOOK)
    inline = (_embedded(small, quality) for quality in range(80, 0, -5))
    fitting = next((text for text in inline if len(text) <= MOST_INLINE), "too detailed to show")
    return {
        "picture": dg.MetadataValue.md(fitting),
        "quicklook": dg.MetadataValue.md(_embedded(large, 75)),
    }


def _embedded(image: Image.Image, quality: int) -> str:
    data = io.BytesIO()
    image.save(data, "webp", quality=quality, method=6)
    return f"![](data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()})"
