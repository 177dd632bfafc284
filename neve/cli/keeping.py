"""Commands that care for a cube: names for snapshots, and whether it is what it says."""

from typing import Annotated

import typer

from neve.cli.looking import At, Store
from neve.cli.tables import AsJson, row_of, show

app = typer.Typer()


@app.command()
def tag(
    ctx: typer.Context,
    store: Store,
    name: Annotated[str, typer.Argument(help="the tag; it can never be moved")],
    at: At = "main",
    as_json: AsJson = False,
) -> int:
    """Name a snapshot for good."""
    from neve.cli.stores import repository
    from neve.cube.history import tag as make

    show({"tags": [{"tag": name, "snapshot": make(repository(ctx, store), name, at)}]}, as_json)
    return 0


@app.command()
def verify(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """Read every chunk of a snapshot and hold the cube's promises against it; 1 if one fails."""
    from tqdm import tqdm

    from neve.cli.stores import repository
    from neve.cube.verifying import verify as look

    found = []
    with tqdm(unit="block", desc="verify") as bar:
        for finding in look(repository(ctx, store), at):
            if finding is None:
                bar.update()
            else:
                found.append(row_of(finding))
    show({"findings": found}, as_json)
    return 1 if found else 0
