"""Embedding cubes: tiles of int8 vectors, as geotessera publishes them, one cube per zone and year.

``tiles`` (files) → ``layout`` (groups and arrays) → ``vectors`` (arithmetic) → ``consolidation``
(blocks, previews, the one commit). Does not belong here: scenes and months.
"""
