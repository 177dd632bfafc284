"""Commands that care for a cube: names, whether it is what it says, and what may be forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from neve.cli.looking import At, Store
from neve.cli.tables import AsJson, DryRun, row_of, show

app = typer.Typer()


@app.command()
def tag(
    ctx: typer.Context,
    store: Store,
    name: Annotated[str, typer.Argument(help="the tag; it can never be moved")],
    at: At = "main",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Name a snapshot for good."""
    from neve.cli.stores import repository
    from neve.cube.history import check_tag
    from neve.cube.history import tag as make

    cube = repository(ctx, store)
    snapshot = check_tag(cube, name, at) if dry_run else make(cube, name, at)
    show({"tags": [{"tag": name, "snapshot": snapshot}]}, as_json)
    return 0


@app.command()
def verify(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """Read every chunk of a snapshot and hold the cube's promises against it; 1 if one fails."""
    from tqdm import tqdm

    from neve.cli.stores import repository
    from neve.cube.verifying import verify as look

    found = []
    # None: no bar where standard error is no terminal.
    with tqdm(unit="block", desc="verify", disable=None) as bar:
        for finding in look(repository(ctx, store), at):
            if finding is None:
                bar.update()
            else:
                found.append(row_of(finding))
    show({"findings": found}, as_json)
    return 1 if found else 0


@app.command()
def tidy(
    ctx: typer.Context,
    store: Store,
    keep_days: Annotated[int, typer.Option(help="states of so many days stay; 14 or more")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell what would go")] = False,
    as_json: AsJson = False,
) -> int:
    """Forget old states, but tags and branches, and delete what no state needs any more."""
    from neve.cli.stores import repository
    from neve.cube.locking import lock_of
    from neve.cube.tidying import preview
    from neve.cube.tidying import tidy as do

    cube, keep, now = repository(ctx, store), timedelta(days=keep_days), datetime.now(UTC)
    tidied = preview(cube, keep, now) if dry_run else do(cube, keep, now, lock_of(store))
    row = row_of(tidied)
    if not as_json:
        row |= {"snapshots": len(tidied.snapshots), "branches": len(tidied.branches)}
    show({"would go" if dry_run else "gone": [row]}, as_json)
    return 0
