"""Commands to start with: a region file, and what this machine lacks."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from neve.cli.tables import AsJson, DryRun, show, show_one
from neve.errors import AskPerson, NeveError

app = typer.Typer()
AREA = "Area: west,south,east,north in degrees, a GeoJSON file, or a country"
BANDS = "blue,green,red,rededge1,nir,swir16,swir22"


@app.command()
def init(
    name: Annotated[str, typer.Option(prompt="Name of the region", help="letters, digits, - _")],
    bbox: Annotated[str, typer.Option(help="west,south,east,north in degrees")] = "",
    geometry: Annotated[Path | None, typer.Option(help="GeoJSON file of the area")] = None,
    country: Annotated[str, typer.Option(help="its box, by Natural Earth's name of it")] = "",
    resolution: Annotated[float, typer.Option(help="in units of the CRS")] = 10,
    crs: Annotated[str, typer.Option(help="EPSG:<code>, or utm")] = "utm",
    start: Annotated[str, typer.Option(help="first month; else the last whole one")] = "",
    bands: Annotated[str, typer.Option(help="STAC common names")] = BANDS,
    folder: Annotated[Path, typer.Option(help="folder of region files")] = Path("regions"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Write a region file; asks for what no option says. A dry run prints it."""
    import yaml

    if not (bbox or geometry or country):
        answer = typer.prompt(AREA)
        bbox = answer if "," in answer else ""
        geometry = Path(answer) if answer.endswith("json") else None
        country = "" if bbox or geometry else answer
    content = {
        "name": name,
        "area": _area(bbox, geometry, country),
        "crs": crs,
        "resolution": resolution,
        "start": start or _last_whole_month(),
        "bands": bands.split(","),
    }
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
    file = folder / f"{name}.yaml"
    _check(file, text)
    if not dry_run:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    if as_json:
        show_one(name, {"file": str(file)} | content, as_json)
    else:
        print(text if dry_run else file, end="" if dry_run else "\n")
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


def _check(file: Path, text: str) -> None:
    """Refuse what is there already, and what would not load."""
    from neve.region import load

    if file.exists():
        raise AskPerson(f"{file}: there already; edit it, or choose another name")
    with tempfile.TemporaryDirectory() as folder:
        begun = Path(folder) / "region.yaml"
        begun.write_text(text, "utf-8")
        try:
            load(begun)
        except NeveError as error:
            raise AskPerson(str(error).replace(str(begun), "neve init")) from error


def _area(bbox: str, geometry: Path | None, country: str) -> dict[str, object]:
    if (bool(bbox), geometry is not None, bool(country)).count(True) > 1:
        raise AskPerson("give one of --bbox, --geometry and --country")
    if geometry:
        return {"geometry": str(geometry.resolve())}
    if country:
        from neve.cli.building import land_folder
        from neve.land import country_box

        box = country_box(land_folder(), country)
        return {"bbox": [round(edge, 2) for edge in box]}
    try:
        return {"bbox": [float(number) for number in bbox.split(",")]}
    except ValueError as error:
        raise AskPerson(f"bbox {bbox!r}: give west,south,east,north in degrees") from error


def _last_whole_month() -> str:
    from neve.cube.layout import month_after

    return month_after(f"{datetime.now(UTC):%Y-%m}", -1)
