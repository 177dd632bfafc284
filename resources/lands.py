"""Natural Earth land."""

from pathlib import Path

import dagster as dg

from neve.land import Land, load_land


class Lands(dg.ConfigurableResource[None]):
    """``fallback``: folder of the npm package world-atlas; ``download``: may cartopy fetch."""

    fallback: str = "node_modules/world-atlas"
    download: bool = False

    def land(self) -> Land:
        """Land polygons, and which source served them."""
        return load_land(Path(self.fallback), self.download)
