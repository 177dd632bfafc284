"""The STAC catalogue of a region."""

from dataclasses import replace

import dagster as dg

from neve.catalog.api import StacApi
from neve.catalog.opening import Catalog, open_catalog
from neve.region import Region


class Catalogs(dg.ConfigurableResource[None]):
    """``override``: a STAC API URL or a local folder that serves every region instead."""

    override: str | None = None

    def hurried(self, region: Region) -> Catalog:
        """The same for a tick: a search ends within some 40 seconds where nothing answers."""
        catalog = self.catalog(region)
        if isinstance(catalog, StacApi):
            return replace(catalog, timeout=12.0, retries=2, longest_pause=4)
        return catalog

    def catalog(self, region: Region) -> Catalog:
        """The region's catalogue, opened."""
        return open_catalog(self.override or region.catalog, region.hosts)
