"""neve: Sentinel-2 scenes to monthly, cloud-free, versioned datacubes.

``neve.open`` reads a cube; the rooms are in the README's tree, from the outside in.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neve.opened import open

__version__ = "0.1.0"
__all__ = ["open"]


def __getattr__(name: str) -> Any:
    """``neve.open``, imported when it is first asked for: importing neve alone stays light."""
    if name != "open":
        raise AttributeError(f"module 'neve' has no attribute {name!r}")
    from neve.opened import open

    return open
