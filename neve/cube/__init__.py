"""The cube: its layout, its arrays in a store, its transaction, and how it is read back.

``layout`` (plain values) → ``creation`` (zarr arrays) → ``store`` (Icechunk) → ``reader``;
``geozarr`` holds the metadata. Does not belong here: computing pixels.
"""
