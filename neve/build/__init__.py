"""Building a month: ``plan`` (pure values), ``block`` (one block, in a worker), ``month`` (all
blocks, one transaction), with ``shared_chunks`` and the ``engine`` between.

Does not belong here: kernels, storage, Dagster.
"""
