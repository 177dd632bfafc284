"""Reading: from the URL of an image to pixels of a grid, or a loud failure.

``image`` (what is read, by which resampling) → ``warping`` (where pixels lie), ``interpolating``
and ``averaging`` → ``cog`` and ``rasters`` (tiles) → ``rangefile`` and ``ranges`` (bytes);
``ahead`` fetches what comes next. Does not belong here: what a mask means, days
(``compositing``).
"""
