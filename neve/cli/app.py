"""The commands of ``neve`` and what each exit code means: ``docs/commands.md``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from neve.cli import keeping, looking, starting, taking
from neve.cli.looking import At, Store
from neve.cli.tables import AsJson, DryRun, spelled
from neve.errors import AskPerson, NeveError, Retry

LOOPBACK = "127.0.0.1"
CODES = """Exit codes: 0 done, 1 the attempt failed and published nothing (verify: something is
wrong), 2 wrong usage, 3 a person is needed (a wrong region file, no such store), 4 passing trouble,
try again, 130 interrupted."""

app = typer.Typer(
    no_args_is_help=True,
    epilog=CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(starting.app)
app.add_typer(looking.app)
app.add_typer(taking.app)
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
        code = int(app(standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except NeveError as error:
        print("\n".join(map(spelled, f"neve: {error}".split("\n"))), file=sys.stderr)
        return exit_code(error)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except BrokenPipeError:  # whoever reads has enough: neve log | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as click has it
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
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Build one month of a region through the Dagster assets and publish it."""
    from neve.cli.building import build_month
    from neve.cli.tables import show_one

    if dry_run:
        return plan(region, month, catalog, as_json=as_json)
    places = {"catalog": catalog, "store": store, "workers": workers}
    wishes = {"rebuild": rebuild, "allow-shrink": allow_shrink}
    code, published = build_month(region, month, {**places, **wishes})
    if published:
        show_one("published", published, as_json)
    return code


@app.command()
def backfill(
    regions: Annotated[list[str], typer.Argument(help="names of regions in NEVE_REGIONS")],
    first: Annotated[str, typer.Option("--from", help="first month, YYYY-MM")],
    last: Annotated[str, typer.Option("--to", help="last month, YYYY-MM")],
    jobs: Annotated[int, typer.Option(min=1, help="so many months at a time")] = 1,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="blocks that are right, too")] = False,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="although most published scenes are gone")
    ] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="a line of JSON for each run")] = False,
) -> int:
    """Build months of regions through the Dagster job, one run each; goes on after a failure."""
    from neve.cli.building import backfill as run

    wishes = {"rebuild": rebuild, "allow-shrink": allow_shrink}
    options: dict[str, str | bool] = {
        **wishes,
        "dry-run": dry_run,
        "json": as_json,
        "jobs": str(jobs),
    }
    return run(regions, first, last, options)


@app.command()
def plan(
    region: Annotated[Path, typer.Argument(help="region file (YAML)")],
    month: Annotated[str, typer.Option(help="month, YYYY-MM")],
    catalog: Annotated[str, typer.Option(help="STAC API or folder of items, instead")] = "",
    workers: Annotated[int, typer.Option(min=1, help="workers to reckon the time for")] = 1,
    prices: Annotated[
        str, typer.Option(help="of a CPU hour, a GB and month, 1,000 reads, 1,000 writes")
    ] = "0.04,0.023,0.0004,0.005",
    as_json: AsJson = False,
) -> int:
    """Print what building a month would take, before a pixel is read."""
    from neve.cli.planning import planned
    from neve.cli.tables import show_one

    title, rows = planned(region, month, catalog, workers, prices)
    show_one(title, rows, as_json)
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
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Put embedding tiles of one UTM zone and year together in a cube, in one commit."""
    from neve.cli.embedding import Asked, embed_tiles, planned
    from neve.cli.tables import show_one
    from neve.cube.places import s3_options

    asked = Asked(folder, year, zone, factors, workers)
    if dry_run:
        show_one("planned", planned(asked), as_json)
        return 0
    options = s3_options(ctx.find_root().params["s3_endpoint"])
    show_one("published", embed_tiles(asked, store, options), as_json)
    return 0


@app.command()
def overviews(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="folder or s3:// of a Zarr or Icechunk dataset")],
    factors: Annotated[str, typer.Option(help="increasing, each divides the next")] = "4,16,64",
    method: Annotated[
        list[str] | None, typer.Option(help="<variable>=<method>, else mean, of flags mode")
    ] = None,
    crs: Annotated[str, typer.Option(help="EPSG:<code>, where the dataset does not say")] = "",
    nest: Annotated[
        bool, typer.Option("--nest", help="move arrays of the root into 1x first: /red → /1x/red")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Add overview levels to a dataset that neve did not make; goes on after an interruption."""
    from neve.cli.levels import add_levels, planned, wanted_levels
    from neve.cli.tables import show, show_one
    from neve.cube.places import s3_options

    wanted = wanted_levels(factors, method or [], crs, nest)
    options = s3_options(ctx.find_root().params["s3_endpoint"])
    if dry_run:
        show({"levels": planned(dataset, wanted, options)}, as_json)
    else:
        snapshot = add_levels(dataset, wanted, options)
        show_one("published", {"dataset": dataset, "snapshot": snapshot}, as_json)
    return 0


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="where everything goes")] = Path(".neve/demo"),
    as_json: AsJson = False,
) -> int:
    """Synthetic scenes, a local STAC API, two months through Dagster, and a picture of each."""
    from neve.cli.demonstration import demonstrate

    return demonstrate(folder, as_json)


@app.command()
def serve(
    ctx: typer.Context,
    store: Store,
    host: Annotated[str, typer.Option(help="address to listen on; there is no login")] = LOOPBACK,
    port: Annotated[int, typer.Option(help="0 = any free one", min=0, max=65535)] = 8765,
    as_json: AsJson = False,
) -> int:
    """Serve the map of a cube, its tiles and its API, until interrupted; prints the address."""
    from neve.cli.showing import serve_map, tell
    from neve.cli.stores import repository

    serve_map(repository(ctx, store), store, (host, port), lambda url: tell(url, as_json))
    return 0


@app.command("open")
def open_map(ctx: typer.Context, store: Store, at: At = "main", as_json: AsJson = False) -> int:
    """Open the map of a cube in the browser; print its address, which is all without a screen."""
    from neve.cli.showing import browse, serve_map
    from neve.cli.stores import repository
    from neve.cube.history import resolve

    cube = repository(ctx, store)
    resolve(cube, at)
    serve_map(cube, store, (LOOPBACK, 0), lambda url: browse(f"{url}#at={at}", as_json))
    return 0
