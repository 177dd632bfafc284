"""The commands of ``neve`` and what each exit code means.

0 done · 1 the attempt failed, nothing was published · 2 wrong usage · 3 ask a person (a wrong
region file, a missing store) · 4 passing trouble, try again.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from neve.cli import keeping, looking, starting
from neve.errors import AskPerson, NeveError, Retry

LOOPBACK = "127.0.0.1"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(starting.app)
app.add_typer(looking.app)
app.add_typer(keeping.app)


@app.callback()
def settings(
    s3_endpoint: Annotated[
        str,
        typer.Option(
            envvar=["NEVE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
            help="URL of an S3 API other than AWS's",
        ),
    ] = "",
) -> None:
    """Sentinel-2 scenes to monthly, cloud-free, versioned datacubes."""


def run() -> int:
    """Run the command line's command; returns the exit code."""
    try:
        return int(app(standalone_mode=False) or 0)
    except NeveError as error:
        print(f"neve: {error}", file=sys.stderr)
        return exit_code(error)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        if hasattr(error, "show"):  # a usage error of typer's
            error.show()
            return 2
        raise


def exit_code(error: BaseException) -> int:
    """The stable exit code of an error."""
    return 3 if isinstance(error, AskPerson) else 4 if isinstance(error, Retry) else 1


@app.command()
def build(
    region: Annotated[Path, typer.Argument(help="region file (YAML)")],
    month: Annotated[str, typer.Option(help="month, YYYY-MM")],
    catalog: Annotated[str, typer.Option(help="STAC API or folder of items, instead")] = "",
    store: Annotated[str, typer.Option(help="folder or s3:// of the cube, instead")] = "",
    workers: Annotated[str, typer.Option(help="processes; 0 = one per core, −1 = none")] = "",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="blocks that are right, too")] = False,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="although most published scenes are gone")
    ] = False,
) -> int:
    """Build one month of a region through the Dagster assets and publish it."""
    from neve.cli.building import build_month

    places = {"catalog": catalog, "store": store, "workers": workers}
    return build_month(region, month, {**places, "rebuild": rebuild, "allow-shrink": allow_shrink})


@app.command()
def backfill(
    regions: Annotated[list[str], typer.Argument(help="names of regions in NEVE_REGIONS")],
    first: Annotated[str, typer.Option("--from", help="first month, YYYY-MM")],
    last: Annotated[str, typer.Option("--to", help="last month, YYYY-MM")],
    rebuild: Annotated[bool, typer.Option("--rebuild", help="blocks that are right, too")] = False,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="although most published scenes are gone")
    ] = False,
) -> int:
    """Build months of regions through the Dagster job, one run each; goes on after a failure."""
    from neve.cli.building import backfill as run

    return run(regions, first, last, {"rebuild": rebuild, "allow-shrink": allow_shrink})


@app.command()
def plan(
    region: Annotated[Path, typer.Argument(help="region file (YAML)")],
    month: Annotated[str, typer.Option(help="month, YYYY-MM")],
    catalog: Annotated[str, typer.Option(help="STAC API or folder of items, instead")] = "",
    workers: Annotated[int, typer.Option(min=1, help="workers to reckon the time for")] = 1,
) -> int:
    """Print what building a month would take, before a pixel is read."""
    from neve.cli.planning import print_plan

    print_plan(region, month, catalog, workers)
    return 0


@app.command()
def embed(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="tiles as geotessera mirrors them")],
    year: Annotated[int, typer.Option(help="year of the tiles")],
    zone: Annotated[str, typer.Option(help="UTM zone and hemisphere, e.g. 33N")],
    store: Annotated[str, typer.Option(help="folder or s3:// of the cube")],
    factors: Annotated[str, typer.Option(help="increasing, each divides the next")] = "4,16,64",
    workers: Annotated[int, typer.Option(help="processes; 0 = one per core, −1 = none")] = 0,
) -> int:
    """Put embedding tiles of one UTM zone and year together in a cube, in one commit."""
    from neve.cli.embedding import Asked, embed_tiles
    from neve.cube.places import s3_options

    options = s3_options(ctx.find_root().params["s3_endpoint"])
    print(embed_tiles(Asked(folder, year, zone, factors, workers), store, options))
    return 0


@app.command()
def overviews(
    dataset: Annotated[str, typer.Argument(help="Zarr folder, or Icechunk folder or s3://")],
    factors: Annotated[str, typer.Option(help="increasing, each divides the next")] = "4,16,64",
    method: Annotated[list[str] | None, typer.Option(help="<variable>=<method>, else mean")] = None,
    crs: Annotated[str, typer.Option(help="EPSG:<code>, where the dataset does not say")] = "",
) -> int:
    """Add overview levels to a dataset that neve did not make; goes on after an interruption."""
    from neve.cli.levels import add_levels, wanted_levels

    print(add_levels(dataset, wanted_levels(factors, method or [], crs)))
    return 0


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="where everything goes")] = Path(".neve/demo"),
) -> int:
    """Synthetic scenes, a local STAC API, two months through Dagster, and a picture of each."""
    from neve.cli.demonstration import demonstrate

    return demonstrate(folder)


@app.command()
def serve(
    ctx: typer.Context,
    store: Annotated[str, typer.Argument(help="folder or s3:// of a cube")],
    host: Annotated[str, typer.Option(help="address to listen on; there is no login")] = LOOPBACK,
    port: Annotated[int, typer.Option(help="0 = any free one", min=0, max=65535)] = 8765,
) -> int:
    """Serve the map of a cube, its tiles and its API, until interrupted; prints the address."""
    from neve.cli.stores import repository

    cube = repository(ctx, store)
    try:
        from neve.serving.running import run as run_server
    except ModuleNotFoundError as error:
        raise AskPerson(f"no {error.name} here: install neve[serve]") from error
    run_server(cube, store, (host, port), lambda url: print(url, flush=True))
    return 0
