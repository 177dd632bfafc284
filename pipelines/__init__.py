"""The composition root: definitions, jobs, schedules, and the programs that start runs.

Belongs here: reading the environment, wiring resources to assets. Does not belong here:
anything that an asset or a resource could do by itself.
"""
