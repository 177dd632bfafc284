"""Commands to start with: a region file, and what this machine lacks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from neve.cli.tables import AsJson, show
from neve.errors import AskPerson, NeveError

app = typer.Typer()
BANDS = "blue,green,red,rededge1,nir,swir16,swir22"


@app.command()
def init(
    name: Annotated[str, typer.Option(prompt="Name of the region", help="letters, digits, - _")],
    bbox: Annotated[str, typer.Option(help="west,south,east,north in degrees")] = "",
    geometry: Annotated[Path | None, typer.Option(help="GeoJSON file of the area")] = None,
    resolution: Annotated[float, typer.Option(help="in units of the CRS")] = 10,
    crs: Annotated[str, typer.Option(help="EPSG:<code>, or utm")] = "utm",
    start: Annotated[str, typer.Option(help="first month; else the last whole one")] = "",
    bands: Annotated[str, typer.Option(help="STAC common names")] = BANDS,
    folder: Annotated[Path, typer.Option(help="folder of region files")] = Path("regions"),
    dry_run: Annotated[bool, typer.Option(help="print the file, write nothing")] = False,
) -> int:
    """Write a region file; asks for what no option says."""
    import yaml

    if not bbox and geometry is None:
        bbox = typer.prompt("Box: west,south,east,north in degrees")
    area = {"geometry": str(geometry.resolve())} if geometry else {"bbox": _numbers(bbox)}
    content = yaml.safe_dump(
        {
            "name": name,
            "area": area,
            "crs": crs,
            "resolution": resolution,
            "start": start or _last_whole_month(),
            "bands": bands.split(","),
        },
        sort_keys=False,
        default_flow_style=None,
    )
    if dry_run:
        print(content, end="")
        return 0
    print(_written(folder / f"{name}.yaml", content))
    return 0


@app.command()
def doctor(
    regions: Annotated[Path, typer.Argument(help="folder of region files")] = Path("regions"),
    as_json: AsJson = False,
) -> int:
    """Look for what this machine lacks: land, a place for kernels, regions and their catalogues."""
    from neve.cli import health

    found = health.examine(regions)
    show({"checks": [vars(check) for check in found]}, as_json)
    return 0 if all(check.ok for check in found) else 3


def _written(file: Path, content: str) -> Path:
    """The file, checked before it appears under its name."""
    from neve.region import load

    if file.exists():
        raise AskPerson(f"{file}: there already; edit it, or choose another name")
    file.parent.mkdir(parents=True, exist_ok=True)
    begun = file.with_suffix(".begun")
    try:
        begun.write_text(content, "utf-8")
        load(begun)
        begun.rename(file)
    except NeveError as error:
        raise AskPerson(str(error).replace(str(begun), "neve init")) from error
    finally:
        begun.unlink(missing_ok=True)
    return file


def _numbers(bbox: str) -> list[Any]:
    try:
        return [float(number) for number in bbox.split(",")]
    except ValueError as error:
        raise AskPerson(f"bbox {bbox!r}: give west,south,east,north in degrees") from error


def _last_whole_month() -> str:
    from neve.cube.layout import month_after

    return month_after(f"{datetime.now(UTC):%Y-%m}", -1)
