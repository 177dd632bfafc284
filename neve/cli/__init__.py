"""The command line: parses, starts, prints.

Belongs here: options, exit codes, tables on stdout, progress and errors on stderr. Does not
belong here: anything that another program would want to call. Builds are runs of the Dagster
project, in a process of their own: the core knows no Dagster.
"""

import sys


def main() -> None:
    """Entry point of ``neve``: runs a command; errors end with one line and their exit code."""
    from neve.cli.app import run

    sys.exit(run())
