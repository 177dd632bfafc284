"""The transactional store of a region."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import icechunk as ic
import xarray as xr

from neve.cube.history import Commit, last_changes
from neve.cube.layout import layout_of
from neve.cube.locking import lock_of
from neve.cube.opening import open_cube
from neve.cube.places import explained, open_repository, s3_options
from neve.cube.store import Cube
from neve.cube.tidying import Tidied, tidy
from neve.cube.weighing import Weight, weights
from neve.errors import CubeMismatch
from neve.opened import open as open_tree
from neve.region import Region


class Cubes(dg.ConfigurableResource[None]):
    """``root``: where cubes go whose region names no store; ``override`` replaces both.

    ``viewer``: URL of the ``neve serve`` that people look at cubes with. ``s3_endpoint``: URL of
    an S3 API other than AWS's; credentials come from the environment.
    """

    root: str = ".neve/cubes"
    override: str | None = None
    viewer: str = "http://127.0.0.1:8765"
    s3_endpoint: str | None = None

    def location(self, region: Region) -> str:
        """Where the region's repository is."""
        return self.override or region.store or f"{self.root.rstrip('/')}/{region.cube}"

    def cube(self, region: Region) -> Cube:
        """The region's repository, created where there is none."""
        return open_cube(self.location(region), layout_of(region), s3_options(self.s3_endpoint))

    def tree(self, region: Region, snapshot: str) -> xr.DataTree:
        """What is stored at a snapshot of the region's cube."""
        place, options = self.location(region), s3_options(self.s3_endpoint)
        return open_tree(place, snapshot, options, derived=False)

    def weights(self, region: Region, snapshot: str) -> dict[str, Weight]:
        """What a snapshot of the region's cube wrote, by level."""
        return weights(self._repository(region), snapshot)

    def published(self, region: Region) -> dict[str, Commit]:
        """The commit that each of the region's months is from; nothing where there is no cube."""
        try:
            repository = self._repository(region)
        except CubeMismatch:
            return {}
        with explained(self.location(region)):
            found = last_changes(repository)
        return {c.month: c for c in found if c.month and c.region == region.name}

    def tidy(self, region: Region, keep: timedelta) -> Tidied:
        """Forget the states of the region's cube that are older than ``keep``."""
        place = self.location(region)
        repository = self._repository(region)
        with explained(place):
            return tidy(repository, keep, datetime.now(UTC), lock_of(place))

    def _repository(self, region: Region) -> ic.Repository:
        return open_repository(self.location(region), s3_options(self.s3_endpoint))
