"""Pyramids: levels added to a dataset that somebody else wrote, Zarr or Icechunk.

``dataset`` describes what is there, ``asked`` holds against it what is wanted, ``plan`` says which
windows are read, ``building`` turns them into chunks (``keeping``: of what several windows need),
``groups`` writes the arrays, ``state`` notes what is not complete, ``nesting`` moves a flat root
into ``1x``, ``adding`` is the public face. Does not belong here: neve's own cubes, whose levels are
made with their months (``build``).
"""
