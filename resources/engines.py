"""The engine that runs blocks."""

import os

import dagster as dg

from neve.build.engine import Engine, Inline, Processes


class Engines(dg.ConfigurableResource[None]):
    """``workers``: processes per run; 0 takes one per core, −1 runs inside the step's process."""

    workers: int = 0

    def engine(self) -> Engine:
        """The engine, ready to map."""
        if self.workers < 0:
            return Inline()
        return Processes(self.workers or os.cpu_count() or 1)
