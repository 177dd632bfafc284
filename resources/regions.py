"""The folder of region files."""

from pathlib import Path

import dagster as dg

from neve.errors import RegionInvalid
from neve.region import Region, load


class RegionFolder(dg.ConfigurableResource[None]):
    """``path``: a folder of ``*.yaml`` region files, or one such file."""

    path: str = "regions"

    def regions(self) -> dict[str, Region]:
        """All regions by name; raises ``RegionInvalid`` for the first wrong file."""
        place = Path(self.path)
        files = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
        found: dict[str, Region] = {}
        for file in files:
            region = load(file)
            if region.name in found:
                raise RegionInvalid(f"{file}: another file is named {region.name!r}; rename one")
            found[region.name] = region
        return found

    def region(self, name: str) -> Region:
        """One region; raises ``RegionInvalid`` when no file has that name."""
        found = self.regions()
        if name not in found:
            raise RegionInvalid(f"{self.path}: no region {name!r}; there are {sorted(found)}")
        return found[name]
