"""Arrays opened by their names are those that zarr opens."""

import pytest
import zarr
from patches import REGION, cube_at

from neve.cube import handles
from neve.cube.layout import layout_of
from neve.cube.records import arrays


def test_the_same_arrays_as_zarrs_own(tmp_path) -> None:
    cube = cube_at(tmp_path / "cube")
    paths = [f"1x/{variable.name}" for variable in layout_of(REGION).variables]
    paths += [f"blocks/{name}" for name in arrays(cube.layout)]
    main = cube.repository.readonly_session("main").store
    for store in (main, cube.begin("2023-08").fork.store):  # the same again, and one month long
        for path, found in zip(paths, handles.opened(store, paths), strict=True):
            plain = zarr.open_array(store, path=path, mode="r")
            assert (found.path, found.metadata) == (path, plain.metadata)


def test_an_array_that_is_missing_is_named(tmp_path) -> None:
    store = cube_at(tmp_path / "cube").repository.readonly_session("main").store
    with pytest.raises(FileNotFoundError, match="1x/blue: no such array"):
        handles.opened(store, ["1x/red", "1x/blue"])
