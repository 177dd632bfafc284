"""The transactional store of a region."""

import dagster as dg

from neve.cube.layout import layout_of
from neve.cube.store import Cube, open_cube, s3_options
from neve.region import Region


class Cubes(dg.ConfigurableResource[None]):
    """``root``: where cubes go whose region names no store; ``override`` replaces both.

    ``s3_endpoint``: URL of an S3 API other than AWS's; credentials come from the environment.
    """

    root: str = ".neve/cubes"
    override: str | None = None
    s3_endpoint: str | None = None

    def location(self, region: Region) -> str:
        """Where the region's repository is."""
        return self.override or region.store or f"{self.root.rstrip('/')}/{region.name}"

    def cube(self, region: Region) -> Cube:
        """The region's repository, created where there is none."""
        return open_cube(self.location(region), layout_of(region), s3_options(self.s3_endpoint))
