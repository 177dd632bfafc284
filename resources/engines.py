"""The engine that runs blocks."""

import os

import dagster as dg

from neve.build.clusters import Dask, Lithops
from neve.build.engine import Engine, Inline, Processes
from neve.errors import AskPerson


class Engines(dg.ConfigurableResource[None]):
    """``name``: ``processes``, ``dask``, the address of a Dask scheduler, or ``lithops``.

    ``workers``: processes per run of this machine; 0 takes one per core, −1 runs inside the
    step's process.
    """

    name: str = "processes"
    workers: int = 0

    def engine(self) -> Engine:
        """The engine, ready to map; raises ``AskPerson`` for an unknown name."""
        workers = self.workers or os.cpu_count() or 1
        scheme, separator, rest = self.name.partition("://")
        if separator:
            return Dask(workers, f"tcp://{rest}" if scheme == "dask" else self.name)
        match self.name:
            case "processes":
                return Inline() if workers < 0 else Processes(workers)
            case "dask":
                return Dask(max(workers, 1))
            case "lithops":
                return Lithops()
        raise AskPerson(
            f"NEVE_ENGINE {self.name!r}: use processes, dask, dask://host:port or lithops"
        )
