"""Compositing: many scenes of a month in, one value per pixel and band out.

``composite`` is the public face: ``observations`` (valid pixels of each day), ``masking``,
``median`` (the kernels), ``stacks`` (memory); ``recipe`` says what is wanted, ``quarantine`` is
the gate before it. Does not belong here: files and resampling (``reading``).
"""
