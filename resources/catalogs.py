"""The STAC catalogue of a region."""

import dagster as dg

from neve.catalog.opening import Catalog, open_catalog
from neve.region import Region


class Catalogs(dg.ConfigurableResource[None]):
    """``override``: a STAC API URL or a local folder that serves every region instead."""

    override: str | None = None

    def catalog(self, region: Region) -> Catalog:
        """The region's catalogue, opened."""
        return open_catalog(self.override or region.catalog, region.hosts)
