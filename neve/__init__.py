"""neve: Sentinel-2 scenes to monthly, cloud-free, versioned datacubes.

The rooms, from the outside in: ``cli`` and ``demo``; ``build`` (a month), ``block`` (one block),
``store`` and ``layout`` (the cube), ``compositing``, ``indices``, ``overviews`` (the kernels),
``reading`` and ``masking``, ``catalog`` and ``scenes`` (the input), ``region``, ``grid``.
"""

__version__ = "0.1.0"
