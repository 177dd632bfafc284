"""The commands of ``neve`` and what each exit code means.

0 done · 1 the attempt failed, nothing was published · 2 wrong usage · 3 ask a person (a wrong
region file, a missing store) · 4 passing trouble, try again.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from neve.errors import AskPerson, NeveError, Retry

app = typer.Typer(
    help="Sentinel-2 scenes to monthly, cloud-free, versioned datacubes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
) -> int:
    """Build one month of a region through the Dagster assets and publish it."""
    from neve.cli.building import build_month

    return build_month(region, month, catalog, store, workers)


@app.command()
def plan(
    region: Annotated[Path, typer.Argument(help="region file (YAML)")],
    month: Annotated[str, typer.Option(help="month, YYYY-MM")],
    catalog: Annotated[str, typer.Option(help="STAC API or folder of items, instead")] = "",
) -> int:
    """Print what building a month would take, before a pixel is read."""
    from neve.cli.planning import print_plan

    print_plan(region, month, catalog)
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
def info(
    store: Annotated[str, typer.Argument(help="folder or s3:// of a cube")],
    s3_endpoint: Annotated[str, typer.Option(envvar="NEVE_S3_ENDPOINT", help="S3 API")] = "",
) -> int:
    """Print what is in a cube: levels, variables, months, valid fraction, snapshots."""
    from neve.cli.printing import print_cube

    print_cube(store, s3_endpoint)
    return 0
