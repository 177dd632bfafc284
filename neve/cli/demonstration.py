"""The demo: the main job on synthetic scenes, offline, with nothing but this machine."""

import shutil
import sys
from pathlib import Path

from neve.cli.bars import counted
from neve.cli.building import build_month, project_folder
from neve.cli.printing import described
from neve.cli.tables import show
from neve.cube.pictures import picture
from neve.cube.places import open_repository
from neve.demo.scenes import write_scenes
from neve.demo.stac_api import serve
from neve.errors import AskPerson
from neve.opened import open as open_tree

MONTHS = ("2024-06", "2024-07")
REGION = """\
name: demo
area: {{bbox: {bbox}}}
crs: utm
resolution: 60
start: 2024-06
bands: [blue, green, red, nir]
indices: [NDVI, EVI, SAVI]
overviews: [4, 16, 64]
block: 512
chunk: 128
collection: {collection}
catalog: ../scenes
store: ../cube
"""


def demonstrate(folder: Path, as_json: bool = False) -> int:
    """Write scenes, serve them, build two months, print what there is; returns the exit code."""
    folder = folder.absolute()
    region = folder / "regions" / "demo.yaml"
    _make_room(folder, region)
    with counted("scene", "synthetic scenes") as progress:
        items = write_scenes(folder / "scenes", progress=progress)
    west, south, east, north = (
        side([item["bbox"][k] for item in items]) for k, side in enumerate((min, min, max, max))
    )
    inner = [round(v, 2) for v in (west + 0.05, south + 0.05, east - 0.05, north - 0.05)]
    region.write_text(REGION.format(bbox=inner, collection=items[0]["collection"]), "utf-8")
    with serve(folder / "scenes") as url:
        for month in MONTHS:
            code, _ = build_month(region, month, {"catalog": url})
            if code:
                return code
    cube = open_tree(str(folder / "cube"))
    for month in MONTHS:
        picture(cube, month).save(folder / f"{month}.png")
    show(described(cube, open_repository(str(folder / "cube")), "main"), as_json)
    if not as_json:
        _print_next(folder)
    return 0


def _make_room(folder: Path, region: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    if folder.exists() and any(folder.iterdir()) and not region.exists():
        raise AskPerson(f"{folder}: not empty, and not an earlier demo; name another folder")
    for part in ("scenes", "cube"):
        if (folder / part).exists():
            shutil.rmtree(folder / part)
    region.parent.mkdir(parents=True, exist_ok=True)


def _print_next(folder: Path) -> None:
    project = project_folder()
    programs = Path(sys.executable).parent
    pictures = ", ".join(f"{month}.png" for month in MONTHS)
    print(f"The cube is in {folder / 'cube'}, its pictures beside it: {pictures}")
    print("The Dagster UI on it:")
    print(
        f"  cd {project} && DAGSTER_HOME={project} NEVE_REGIONS={folder / 'regions'} "
        f"{programs / 'dagster'} dev"
    )
    print("The map:")
    print(f"  {programs / 'neve'} open {folder / 'cube'}")
