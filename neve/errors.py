"""The one tree of errors, grouped by what the handler does.

Belongs here: exception classes, each saying which handling it asks for. Does not belong here:
messages (they are written where the thing, the place and the fix are known) and handling.
"""


class NeveError(Exception):
    """Root of all errors that neve raises on purpose."""


class Retry(NeveError):
    """Passing trouble (network, a busy server): the same call may go through later."""


class ReadFailed(Retry):
    """A source image could not be read whole; never to be taken for nodata."""


class CatalogUnavailable(Retry):
    """The STAC catalogue did not answer, or answered less than it promised."""


class SkipItem(NeveError):
    """One input cannot be used; leave it out, record why, go on with the others."""


class SceneRejected(SkipItem):
    """A STAC item fails preflight; the message is the reason that is recorded."""


class Stop(NeveError):
    """This attempt must end; what is published stays as it was."""


class BlockFailed(Stop):
    """A block could not be built although its reads were retried."""


class CheckFailed(Stop):
    """What was written is not what was computed; nothing of it is published."""


class MonthConflict(Stop):
    """Another writer published the same month first: start again from the new state."""


class AskPerson(NeveError):
    """Only a person can put this right (a wrong region file, a missing catalogue, …)."""


class RegionInvalid(AskPerson):
    """A region file has a wrong key or value."""


class CubeMismatch(AskPerson):
    """The store does not hold the cube that the region describes."""


class MetadataInvalid(AskPerson):
    """A store's GeoZarr metadata contradict its coordinates or the conventions."""


class ScenesVanished(AskPerson):
    """The catalogue lists so few scenes that publishing them would shrink a published month."""
