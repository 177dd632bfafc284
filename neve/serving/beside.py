"""A server in a process of its own, for as long as the process that asked for it.

Belongs here: starting it, its address, its end. Does not belong here: routes, who asks.

It is no thread of the asker: drawing would wait for the asker's computations and the other way
round, and numba's parallel kernels must not be entered from two threads. What to serve comes
through the child's standard input; when that closes, which it does however the asker ends, so
does the child. Children that the asker forked may hold it open: so it watches its parent too.
"""

import atexit
import os
import pickle
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from neve.cube.places import local_folder, open_repository
from neve.errors import AskPerson, NeveError

PATIENCE = 2.0  # seconds
_running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}


def address(location: str, s3_options: Mapping[str, Any]) -> str:
    """The URL of a cube's server on loopback, started unless it runs already.

    Raises ``AskPerson`` with the reason where it does not start.
    """
    place = str(local_folder(location) or location)
    key = repr((place, dict(s3_options)))
    process, url = _running.get(key, (None, ""))
    if process is None or process.poll() is not None:
        _running[key] = process, url = _started(place, s3_options)
    return url


def stop() -> None:
    """End the servers of this process."""
    while _running:
        _, (process, _) = _running.popitem()
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # It only reads: there is nothing that it would have to finish.
    process.kill()
    process.communicate()


def _started(location: str, s3_options: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a notebook's interrupt goes to its whole process group
    )
    assert process.stdin and process.stdout
    pickle.dump((os.getpid(), location, dict(s3_options)), process.stdin)
    process.stdin.flush()
    told = process.stdout.readline().decode().strip()
    if not told.startswith("http://"):
        _end(process)
        raise AskPerson(told or f"{location}: no map; its server's standard error says why")
    return process, told


def _serve() -> None:
    """The child: serve what standard input names, tell the address or what is wrong."""
    asker, location, s3_options = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_asker, args=(asker,), daemon=True).start()
    try:
        from neve.serving.running import run

        run(open_repository(location, s3_options), location, ("127.0.0.1", 0), _tell)
    except NeveError as error:
        _tell(str(error))
    except ModuleNotFoundError as error:
        _tell(f"no {error.name} here: install neve[serve]")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end_with_asker(asker: int) -> None:
    while os.getppid() == asker and not select.select([sys.stdin], [], [], PATIENCE)[0]:
        pass
    os._exit(0)


atexit.register(stop)

if __name__ == "__main__":
    _serve()
