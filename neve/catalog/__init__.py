"""Catalogues: where STAC items come from, an API (``api``) or a local ``folder``.

``opening`` holds the interface and picks the kind. Does not belong here: judging items
(``scenes``), fetching what they name (``reading``).
"""
