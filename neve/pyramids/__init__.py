"""Pyramids: levels added to a dataset that somebody else wrote, Zarr or Icechunk.

``dataset`` describes what is there, ``plan`` says which windows are read, ``building`` turns
them into chunks, ``groups`` writes the arrays, ``adding`` is the public face; ``nesting`` moves
a flat root into ``1x``. Does not belong here: neve's own cubes, whose levels are made with their
months (``build``).
"""
