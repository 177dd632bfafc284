"""``python -m pipelines month …`` or ``… backfill …``: what ``neve`` starts for a build.

Belongs here: nothing else. Worker processes import again what their parent's main module imports,
unless that is a package's ``__main__``: they would load Dagster.
"""

import sys
from importlib import import_module

if __name__ == "__main__":
    sys.exit(import_module(f"pipelines.{sys.argv[1]}").main(sys.argv[2:]))
