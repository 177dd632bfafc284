"""Overviews: native pixels of a block → cells of every level, exact under missing data.

``pooling`` is the public face, ``cells`` (sums) and ``ranks`` (comparisons) its numba loops.
Does not belong here: storage.
"""
