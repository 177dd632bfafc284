"""Opening the repository of a region, which is made where there is none.

Belongs here: the repository's settings, its first commit. Does not belong here: where it may be
(``places``), what happens on it afterwards (``store``).
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import icechunk as ic

from neve.cube import creation, places
from neve.cube.layout import Layout
from neve.cube.locking import lock_of, locked
from neve.cube.store import MAIN, Cube
from neve.errors import CubeMismatch

# Months per manifest: a commit rewrites one manifest per array, a cold open reads few of them.
MONTHS_PER_MANIFEST = 12
# A commit reads and writes the manifests of so many arrays at a time; by Icechunk's default of one
# it waits for an object store once or twice for each array of the cube.
ARRAYS_AT_A_TIME = 16
COORDINATES = "^(x|y|lon|lat|time|time_bnds|spatial_ref)$"


def open_cube(location: str, layout: Layout, s3_options: Mapping[str, Any] | None = None) -> Cube:
    """Open a region's repository, creating it with an empty layout where there is none.

    Raises ``CubeMismatch`` when the store holds something else than ``layout``, ``Retry`` or
    ``AskPerson`` when the place cannot be reached.
    """
    folder, lock = places.local_folder(location), lock_of(location)
    with places.explained(location):
        if folder is None:
            repository = places.open_or_create(location, _config(preload=False), s3_options)
            _initialise(repository, layout)
        else:
            with locked(lock):
                repository = _open_local(folder.resolve(), layout)
        creation.check(repository.readonly_session(MAIN).store, layout)
    return Cube(repository, layout, lock, location)


def _open_local(folder: Path, layout: Layout) -> ic.Repository:
    """The repository in a folder; a new one appears there whole, with its empty layout."""
    place = places.storage(str(folder))
    if ic.Repository.exists(place):
        repository = ic.Repository.open(place, config=_config(preload=False))
        _initialise(repository, layout)
        return repository
    if folder.exists() and any(folder.iterdir()):
        raise CubeMismatch(f"store {folder}: not empty, and no repository; name another folder")
    begun = folder.with_name(folder.name + ".creating")
    shutil.rmtree(begun, ignore_errors=True)
    new = ic.Repository.create(places.storage(str(begun)), config=_config())
    _initialise(new, layout)
    begun.rename(folder)
    return ic.Repository.open(place, config=_config(preload=False))


def _initialise(repository: ic.Repository, layout: Layout) -> None:
    """Commit the empty layout unless main holds something already."""
    session = repository.writable_session(MAIN)
    if len([*islice(repository.ancestry(snapshot_id=session.snapshot_id), 2)]) > 1:
        return
    creation.create(session.store, layout)
    # Another writer may create it first; ``check`` tells whether it is the same.
    with suppress(ic.ConflictError):
        session.commit(f"{layout.name}: empty cube", metadata={"region": layout.name})
        repository.reopen(config=_config()).save_config()


def _config(preload: bool = True) -> ic.RepositoryConfig:
    """The settings that are stored in the repository; ``preload``: whether coordinates are fetched
    whenever a session begins, as readers want them. Writers do not, and deciding costs 1 ms of CPU.
    """
    config = ic.RepositoryConfig.default()
    time_axis = ic.ManifestSplitDimCondition.DimensionName("time")
    splitting = ic.ManifestSplittingConfig.from_dict(
        {ic.ManifestSplitCondition.AnyArray(): {time_axis: MONTHS_PER_MANIFEST}}
    )
    # What is stored by ``open_or_create`` is kept unless something else is said in so many words.
    wanted = ic.ManifestPreloadCondition
    loaded = wanted.name_matches(COORDINATES) if preload else wanted.false()
    config.manifest = ic.ManifestConfig(
        splitting=splitting,
        preload=ic.ManifestPreloadConfig(preload_if=loaded),
        max_concurrent_manifest_fetches_during_commit=ARRAYS_AT_A_TIME,
    )
    return config
