"""Commands that take something out of a cube: values at points, a picture, a time-lapse."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neve.cli.looking import At, Store
from neve.cli.tables import AsJson, show, show_one
from neve.errors import AskPerson

app = typer.Typer()


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
    shown = _months(cube)
    images = [
        captioned(picture(cube, m, variable or None, width), f"{m}  {variable}  {snapshot}")
        for m in shown
    ]
    if output.suffix in (".gif", ".webp"):
        _save(images[0], output, save_all=True, append_images=images[1:], duration=700, loop=0)
    else:
        _save(strip(images), output)
    if as_json:
        told = {"file": str(output), "months": shown, "snapshot": snapshot}
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


def _lonlat(text: str) -> tuple[float, float]:
    try:
        lon, lat = map(float, text.split(","))
    except ValueError as error:
        raise AskPerson(f"point {text!r}: give lon,lat in degrees, e.g. 16.37,48.21") from error
    return lon, lat
