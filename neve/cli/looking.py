"""Commands that only look: what is in a cube, its history, what became of its blocks."""

from typing import Annotated, Any

import typer

from neve.cli.tables import AsJson, row_of, show
from neve.errors import AskPerson

app = typer.Typer()
Store = Annotated[str, typer.Argument(help="folder or s3:// of a cube")]
At = Annotated[str, typer.Option(help="branch, tag or snapshot")]
STATUS = ("·", "-", "∅", "☁", "█")


@app.command()
def info(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """Tell what is in a cube: levels, variables, months, valid fraction, snapshots."""
    from neve.cli.printing import described
    from neve.cli.stores import repository, tree
    from neve.cube.geozarr_check import check

    cube = tree(ctx, store, at)
    check(cube, store)
    show(described(cube, repository(ctx, store), at), as_json)
    return 0


@app.command()
def log(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """List a cube's commits, newest first."""
    from neve.cli.stores import repository
    from neve.cube.history import commits

    rows = [row_of(commit) for commit in commits(repository(ctx, store), at)]
    if not as_json:
        for row in rows:
            row["scenes"], row["lost"] = len(row["scenes"]), len(row["lost"])  # type: ignore[arg-type]
            del row["fingerprint"], row["counts"], row["parent"], row["month"], row["region"]
    show({"commits": rows}, as_json)
    return 0


@app.command()
def blame(
    ctx: typer.Context,
    store: Store,
    month: Annotated[str, typer.Option(help="only this month, YYYY-MM")] = "",
    at: At = "main",
    as_json: AsJson = False,
) -> int:
    """Tell for each month which commit, run and scenes its values come from."""
    from neve.cli.stores import repository
    from neve.cube.history import last_changes

    found = last_changes(repository(ctx, store), at)
    months = dict.fromkeys(str(commit.month) for commit in found)
    if month and month not in months:
        raise AskPerson(f"{store}: no commit made month {month!r}; there are {', '.join(months)}")
    rows = [
        {k: row_of(commit)[k] for k in BLAMED} for commit in found if month in ("", commit.month)
    ]
    show({"months": rows}, as_json)
    return 0


BLAMED = (
    "month", "region", "snapshot", "written_at", "run_id", "code_version", "valid_fraction",
    "scenes", "lost",
)  # fmt: skip


@app.command()
def diff(
    ctx: typer.Context,
    store: Store,
    older: Annotated[str, typer.Argument(help="branch, tag or snapshot")],
    newer: Annotated[str, typer.Argument(help="a later one")] = "main",
    as_json: AsJson = False,
) -> int:
    """Tell which chunks of which months lie between two snapshots."""
    from neve.cli.stores import repository
    from neve.cube.history import changes

    found = changes(repository(ctx, store), older, newer)
    if as_json:
        show(row_of(found), as_json)  # type: ignore[arg-type]
        return 0
    rows = [
        {"month": month, "level": level, "variable": variable, "chunks": len(held)}
        for month in found.months
        for level, variables in found.chunks.items()
        for variable, places in variables.items()
        if (held := [place for place in places if place[0] == month])
    ]
    show({f"{found.older} → {found.newer}": rows}, as_json)
    return 0


@app.command()
def status(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """Show what became of every block in every month: a grid of months × blocks."""
    from neve.cli.stores import tree
    from neve.cube.pictures import months

    cube = tree(ctx, store, at)
    if "blocks" not in cube.children:
        raise AskPerson(f"{store}: no monthly cube of neve's, so it has no blocks; see neve info")
    blocks = cube["blocks/status"]
    meanings = str(blocks.attrs["flag_meanings"]).split()
    values = blocks.to_numpy()
    # A UTM zone has thousands of blocks that no region has.
    down, across = values.any(axis=0).nonzero()
    if down.size:
        values = values[:, down.min() : down.max() + 1, across.min() : across.max() + 1]
    dates = months(cube)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"month": date, "status": month.tolist()}
            for date, month in zip(dates, values, strict=True)
        ]
        show({"meanings": meanings, "months": rows}, as_json)  # type: ignore[dict-item]
        return 0
    rows = [
        {"month": date, "blocks, row by row": " ".join(_signs(row) for row in month)}
        for date, month in zip(dates, values, strict=True)
    ]
    show({", ".join(f"{s} {m}" for s, m in zip(STATUS, meanings, strict=True)): rows}, as_json)
    return 0


def _signs(row: Any) -> str:
    return "".join(STATUS[value] for value in row)
