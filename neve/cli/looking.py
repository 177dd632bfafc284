"""Commands that only look: what is in a cube, its history, its values, its pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neve.cli.tables import AsJson, row_of, show, show_one
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


@app.command()
def sample(
    ctx: typer.Context,
    store: Store,
    point: Annotated[list[str], typer.Option(help="lon,lat; may be given several times")],
    variable: Annotated[list[str], typer.Option(help="may be given several times")],
    level: Annotated[int, typer.Option(help="factor of the level")] = 1,
    output: Annotated[Path | None, typer.Option(help=".csv or .parquet")] = None,
    at: At = "main",
    as_json: AsJson = False,
) -> int:
    """Values at points in every month, each with the number of observations behind it."""
    from neve.cli.stores import tree
    from neve.cube.sampling import sample as take

    rows = take(tree(ctx, store, at), [_lonlat(p) for p in point], variable, level)
    if output is None or as_json:
        show({"samples": rows}, as_json)
    if output is None:
        return 0
    import pandas as pd

    frame = pd.DataFrame(rows)
    if output.suffix not in (".csv", ".parquet"):
        raise AskPerson(f"{output}: name a file that ends in .csv or .parquet")
    try:
        if output.suffix == ".csv":
            frame.to_csv(output, index=False)
        else:
            frame.to_parquet(output, index=False)
    except ImportError as error:
        raise AskPerson(f"{output}: install pyarrow, or name a .csv") from error
    except OSError as error:
        raise _unwritable(output, error) from error
    return 0


@app.command()
def quicklook(
    ctx: typer.Context,
    store: Store,
    output: Annotated[Path, typer.Argument(help=".png, .webp or .jpg")],
    month: Annotated[str, typer.Option(help="month, YYYY-MM; else the last")] = "",
    variable: Annotated[str, typer.Option(help="else true colour")] = "",
    at: At = "main",
    as_json: AsJson = False,
) -> int:
    """Save a picture of a month."""
    from neve.cli.stores import tree
    from neve.cube.pictures import picture

    cube = tree(ctx, store, at)
    shown = month or _months(cube)[-1]
    _save(picture(cube, shown, variable or None), output)
    if as_json:
        show_one("picture", {"file": str(output), "month": shown}, as_json)
    return 0


@app.command()
def animate(
    ctx: typer.Context,
    store: Store,
    output: Annotated[Path, typer.Argument(help=".gif or .webp moves, .png is a strip")],
    variable: Annotated[str, typer.Option(help="else true colour")] = "",
    width: Annotated[int, typer.Option(help="most pixels a side of a picture", min=16)] = 512,
    at: At = "main",
    as_json: AsJson = False,
) -> int:
    """Save all months as a time-lapse; each picture names its month and snapshot."""
    from neve.cli.stores import repository, tree
    from neve.cube.history import resolve
    from neve.cube.pictures import captioned, picture, strip

    snapshot = resolve(repository(ctx, store), at)
    cube = tree(ctx, store, snapshot)
    images = [
        captioned(picture(cube, m, variable or None, width), f"{m}  {variable}  {snapshot}")
        for m in _months(cube)
    ]
    if output.suffix in (".gif", ".webp"):
        _save(images[0], output, save_all=True, append_images=images[1:], duration=700, loop=0)
    else:
        _save(strip(images), output)
    if as_json:
        told = {"file": str(output), "months": _months(cube), "snapshot": snapshot}
        show_one("pictures", told, as_json)
    return 0


def _months(cube: Any) -> list[str]:
    from neve.cube.pictures import months

    found = months(cube)
    if not found:
        raise AskPerson("the cube has no month yet; neve build makes one")
    return found


def _save(image: Any, output: Path, **options: Any) -> None:
    try:
        image.save(output, **options)
    except ValueError as error:
        raise AskPerson(f"{output}: {error}; name a .png, .webp or .jpg") from error
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: Path, error: OSError) -> AskPerson:
    return AskPerson(f"{output}: {error.strerror or error}; name a file in a folder that is there")


def _signs(row: Any) -> str:
    return "".join(STATUS[value] for value in row)


def _lonlat(text: str) -> tuple[float, float]:
    try:
        lon, lat = map(float, text.split(","))
    except ValueError as error:
        raise AskPerson(f"point {text!r}: give lon,lat in degrees, e.g. 16.37,48.21") from error
    return lon, lat
