"""What ``neve info`` tells of a cube."""

import icechunk as ic
import xarray as xr

from neve.cube.history import last_changes
from neve.cube.reader import variables


def described(
    tree: xr.DataTree, repository: ic.Repository, at: str
) -> dict[str, list[dict[str, object]]]:
    """Levels and months of a cube, and what it gives beside the stored variables, as rows."""
    held: dict[str, list[str]] = {"stored": [], "alias": [], "derived": []}
    for variable in variables(tree):
        held[variable.kind].append(variable.name)
    levels = {n: node for n, node in tree.children.items() if "spatial:transform" in node.attrs}
    return {
        "levels": [
            {
                "level": name,
                "height": node.attrs["spatial:shape"][0],
                "width": node.attrs["spatial:shape"][1],
                "pixel": node.attrs["spatial:transform"][0],
                "variables": held["stored"],
            }
            for name, node in sorted(levels.items(), key=lambda pair: int(pair[0][:-1]))
        ],
        "given on read": [
            {"kind": kind, "variables": held[kind]} for kind in ("alias", "derived") if held[kind]
        ],
        "months": [
            {
                "month": commit.month,
                "region": commit.region,
                "valid": commit.valid_fraction,
                "pixels with 0, 1, 2, … clear observations": commit.counts,
                "snapshot": commit.snapshot,
            }
            for commit in last_changes(repository, at)
        ],
    }
