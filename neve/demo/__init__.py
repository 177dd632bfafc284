"""Demo: a synthetic stretch of land, seen by a synthetic Sentinel-2, offered by a real STAC API.

Belongs here: what the demo and the tests need instead of the network (``landscape``: what the
ground looks like; ``scenes``: COGs and STAC items of it; what to write is a plan in ``plan``;
``stac_api``: a catalogue of them over HTTP). Does not belong here: anything that a
build of real data uses.
"""
