"""Dagster resources: each hands back a plain domain object of ``neve``.

Belongs here: configuration turned into a catalogue, a cube, an engine, land, a region, and how
values are handed from asset to asset. Does not belong here: asset logic, definitions.
"""
