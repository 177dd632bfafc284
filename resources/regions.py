"""The folder of region files."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from neve.errors import RegionInvalid
from neve.region import Region, load


class RegionFolder(dg.ConfigurableResource[None]):
    """``path``: a folder of ``*.yaml`` region files, or one such file."""

    path: str = "regions"

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
        """All regions by name; raises ``RegionInvalid`` for the first wrong file."""
        found = {}
        for region in self.each():
            if isinstance(region, RegionInvalid):
                raise region
            found[region.name] = region
        return found

    def region(self, name: str) -> Region:
        """One region, whatever is wrong with the others; raises ``RegionInvalid`` without it."""
        wrong = []
        for region in self.each():
            if isinstance(region, RegionInvalid):
                wrong.append(str(region))
            elif region.name == name:
                return region
        raise RegionInvalid("\n".join([f"{self.path}: no region {name!r}", *wrong]))
