"""The folder of region files."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from neve.errors import RegionInvalid
from neve.region import Region, load


class RegionFolder(dg.ConfigurableResource[None]):
    """``path``: a folder of ``*.yaml`` region files, or one such file.

    ``strict``: a wrong one is an error.
    """

    path: str = "regions"
    strict: bool = False

    def each(self) -> Iterator[Region | RegionInvalid]:
        """Each file's region, or what is wrong with the file."""
        place = Path(self.path)
        names = set()
        for file in sorted(place.glob("*.yaml")) if place.is_dir() else [place]:
            try:
                region = load(file)
            except RegionInvalid as error:
                yield error
                continue
            if region.name in names:
                yield RegionInvalid(f"{file}: another file is named {region.name!r}; rename one")
            else:
                yield region
            names.add(region.name)

    def regions(self) -> dict[str, Region]:
        """Regions by name; of wrong files a warning, and ``RegionInvalid`` where it is strict."""
        found = {}
        for region in self.each():
            if not isinstance(region, RegionInvalid):
                found[region.name] = region
            elif self.strict:
                raise region
            else:
                dg.get_dagster_logger().warning(f"left out: {region}")
        return found

    def region(self, name: str) -> Region:
        """One region, whatever is wrong with the others; raises ``RegionInvalid`` without it."""
        wrong, others = [], []
        for region in self.each():
            if isinstance(region, RegionInvalid):
                wrong.append(str(region))
            elif region.name == name:
                return region
            else:
                others.append(region.name)
        told = f"{self.path}: no region {name!r}; there are {others}"
        raise RegionInvalid("\n".join([told, *wrong]))
