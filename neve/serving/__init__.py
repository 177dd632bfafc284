"""The map server: tiles, legends, a small API and raw chunks of one cube, over HTTP.

Belongs here: everything between a request and an answer, read-only. Does not belong here: what
a cube holds (``neve.cube``), the page that is shown (``neve/page``), printing (``cli``).

``beside`` (a process for another one's map) → ``running`` (a process) → ``app`` (routes, checks
of input) → ``tiles``, ``describing``, ``passport`` and ``positions`` (what the answers say),
``desk`` (whose turn it is), ``answers`` (how they are cached) → ``levels`` (which one a tile is
drawn from) → ``views`` (snapshots, opened) → ``variables``, ``stacked``, ``counting``, ``turns``.
"""
