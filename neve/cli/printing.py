"""What the command line prints of a cube."""

from rich.console import Console
from rich.table import Table

from neve.cube.reader import open_tree, summaries
from neve.cube.store import s3_options


def print_cube(location: str, s3_endpoint: str = "") -> None:
    """Levels and months of a cube, as two tables on stdout."""
    options = s3_options(s3_endpoint)
    tree = open_tree(location, s3_options=options)
    levels = Table("level", "height", "width", "pixel", "variables", title=location)
    found = {n: node for n, node in tree.children.items() if "spatial:transform" in node.attrs}
    for name, node in sorted(found.items(), key=lambda pair: int(pair[0].removesuffix("x"))):
        height, width = node["count"].shape[1:]
        pixel = f"{node.attrs['spatial:transform'][0]:g}"
        names = sorted({str(n) for n in node.data_vars} - {"spatial_ref", "time_bnds"})
        levels.add_row(name, str(height), str(width), pixel, " ".join(names))
    months = Table("month", "valid", "pixels with 0, 1, 2, … clear observations", "snapshot")
    for month in summaries(location, options):
        counts = " ".join(map(str, month.counts))
        months.add_row(month.month, f"{month.valid_fraction:.1%}", counts, month.snapshot)
    console = Console(soft_wrap=True)
    console.print(levels)
    console.print(months)
