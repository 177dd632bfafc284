"""GeoZarr metadata: valid by the published schemas, refused by us when any field is wrong."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import xarray as xr
import zarr
from conftest import BY

from neve.build.engine import Inline
from neve.build.month import build_month
from neve.cube import geozarr
from neve.cube.geozarr_check import check, problems
from neve.errors import MetadataInvalid
from neve.grid import Grid
from neve.opened import open as open_tree
from neve.pyramids.adding import add_to_zarr
from neve.pyramids.asked import Wanted

SCHEMAS = Path(__file__).parents[2] / "shared" / "geozarr"
GRIDS = [
    Grid("EPSG:32633", 60, 250_800, 5_043_420, 83, 75),
    Grid("EPSG:4326", 0.001, 12.04, 45.545, 70, 41),
    Grid("EPSG:4326", 0.25, 179, -16, 9, 1),
]
FACTORS = (2, 4, 16)


def tree_of(grid: Grid) -> xr.DataTree:
    """An empty cube's levels, made of the same attributes as a real one's."""
    y, x = geozarr.dimensions(grid)
    nodes = {"/": xr.Dataset(attrs=geozarr.root_attributes(grid, FACTORS))}
    for factor in (1, *FACTORS):
        level = grid.level(factor)
        red = xr.Variable((y, x), [[0] * level.width] * level.height, {"grid_mapping": "ref"})
        nodes[f"/{factor}x"] = xr.Dataset(
            {"red": red, "ref": ((), 0, geozarr.grid_mapping(level))},
            coords={y: level.ys(), x: level.xs()},
            attrs=geozarr.level_attributes(level),
        )
    return xr.DataTree.from_dict(nodes)


def leaves(value, path=()):
    """Paths of every dictionary key, list element and value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def mutated(attributes, path, change):
    """A copy of the attributes with the value at a path changed, or removed by ``None``."""
    attributes = copy.deepcopy(attributes)
    *parents, last = path
    inner = attributes
    for key in parents:
        inner = inner[key]
    if change is None:
        del inner[last]
    else:
        inner[last] = change(inner[last])
    return attributes


def other(value):
    """Another value of the same type."""
    match value:
        case str():
            return f"x{value}"
        case int() | float():
            return value + 1
        case list():
            return [*value, copy.deepcopy(value[-1])]
    return {}


CHANGES = [None, other, lambda value: None, lambda value: {"no": 1}]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.crs}-{grid.left:g}")
def test_right_metadata_pass_and_every_single_wrong_field_is_refused(grid):
    tree = tree_of(grid)
    assert problems(tree) == []
    count = 0
    for node in (tree, tree["1x"], tree["16x"]):
        right = dict(node.attrs)
        for path in leaves(right):
            for change in CHANGES:
                node.attrs = mutated(right, path, change)
                assert problems(tree), (node.path, path, node.attrs)
                count += 1
        node.attrs = right
    assert problems(tree) == []
    assert count > 500


@pytest.mark.parametrize("field", ["crs_wkt", "GeoTransform"])
@pytest.mark.parametrize("level", ["1x", "16x"])
def test_a_wrong_grid_mapping_is_refused(level, field):
    tree = tree_of(GRIDS[0])
    right = tree[level]["ref"].attrs[field]
    for wrong in ("", "0 1 2", f"x{right}", geozarr.grid_mapping(GRIDS[1])[field]):
        tree[level]["ref"].attrs[field] = wrong
        assert any(f"/{level}/ref: {field}" in line for line in problems(tree)), wrong


def test_coordinates_that_are_elsewhere_are_refused():
    grid = GRIDS[0]
    for change in (
        lambda level: level.assign_coords(x=level.x + 30),
        lambda level: level.assign_coords(y=level.y[::-1].values),
        lambda level: level.assign_coords(x=level.x**2),
        lambda level: level.isel(x=slice(1, None)),
    ):
        tree = tree_of(grid)
        tree["2x"] = xr.DataTree(change(tree["2x"].to_dataset()))
        assert any(line.startswith(("/2x", "/:")) for line in problems(tree))


def test_a_variable_that_one_level_lacks_and_a_stranger_with_a_transform_are_refused():
    tree = tree_of(GRIDS[0])
    tree["4x"]["green"] = tree["4x"]["red"]
    tree["extra"] = xr.DataTree(xr.Dataset(attrs={"spatial:transform": [1, 0, 0, 0, -1, 0]}))
    assert problems(tree) == [
        "/extra: spatial:transform, but multiscales.layout does not list this group",
        "/4x: 'green' is not at every level",
    ]


def test_a_real_cube_passes_and_one_wrong_byte_of_it_is_named(tiny):
    build_month(tiny.plan(), tiny.cube(), Inline(), BY)
    check(open_tree(tiny.store), "cube")
    session = tiny.cube().repository.writable_session("main")
    level = zarr.open_group(session.store, path="4x", mode="r+")
    level.attrs["spatial:transform"] = [241.0, *level.attrs["spatial:transform"][1:]]
    session.commit("a slip")
    with pytest.raises(MetadataInvalid, match=r"/4x: spatial:transform is \[241\.0.*240\.0"):
        check(open_tree(tiny.store), "cube")


def test_levels_added_to_a_dataset_of_others_pass(tmp_path):
    grid = GRIDS[0]
    red = xr.DataArray([[1.0] * grid.width] * grid.height, dims=("lat", "lon"))
    data = red.assign_coords(lat=grid.ys(), lon=grid.xs()).to_dataset(name="red")
    data.to_zarr(tmp_path / "z", group="native", zarr_format=3, consolidated=False)
    add_to_zarr(
        zarr.open_group(tmp_path / "z", mode="r+"), Wanted((2, 4), {}, grid.crs), lambda *_: None
    )
    tree = xr.open_datatree(tmp_path / "z", engine="zarr", consolidated=False)
    assert problems(tree) == []


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the published schemas are not here")
@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.crs}-{grid.left:g}")
def test_the_published_schemas_accept_every_group(grid):
    tree = tree_of(grid)
    for name in ("multiscales", "proj", "spatial"):
        schema = json.loads((SCHEMAS / f"{name}-v0.1.json").read_text("utf-8"))
        if name == "proj":  # its only reference out of the file
            schema["$defs"]["projAttributes"]["properties"]["proj:projjson"] = {}
        for node in tree.subtree:
            if name == "multiscales" and node.path != "/":
                continue
            group = {"zarr_format": 3, "node_type": "group", "attributes": dict(node.attrs)}
            jsonschema.validate(json.loads(json.dumps(group)), schema)
