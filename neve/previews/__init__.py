"""Previews: pictures of a cube's variables, drawn at every level.

``colours`` and ``components`` turn values into bytes; ``drawing`` reads levels and writes them
beside. Does not belong here: which previews there are (``cube.layout``), commits.
"""
