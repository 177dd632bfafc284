"""The map of a cube: served from this process, shown in a browser."""

import json
import os
import sys
import threading
import webbrowser
from collections.abc import Callable

import icechunk as ic

from neve.errors import AskPerson

SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


def serve_map(
    cube: ic.Repository, store: str, address: tuple[str, int], ready: Callable[[str], None]
) -> None:
    """Serve until interrupted; ``ready`` gets the URL. Raises ``AskPerson`` without neve[serve]."""
    try:
        from neve.serving.running import run
    except ModuleNotFoundError as error:
        raise AskPerson(f"no {error.name} here: install neve[serve]") from error
    run(cube, store, address, ready)


def tell(url: str, as_json: bool) -> None:
    """Print an address, at once."""
    print(json.dumps({"url": url}) if as_json else url, flush=True)


def browse(url: str, as_json: bool) -> None:
    """Print an address and show it, where a browser would have a window of its own."""
    tell(url, as_json)
    if sys.platform in ("darwin", "win32") or any(map(os.environ.get, SCREENS)):
        # Some browsers return when they are closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
