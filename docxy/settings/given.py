"""
How the operator gave each setting: by a flag, a variable or the settings file.

Owns the names that errors are told under.  Knows nothing of values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Given:
    """
    Who gave what: flags and variables ``by_key``, and the ``tables`` that stand in ``file``.

    A key like ``upstream[NAME]`` in ``by_key`` is for all keys of that entry.
    """

    by_key: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    tables: frozenset[str] = frozenset()

    def name(self, key: str) -> str:
        """What the operator typed for the setting ``key``; the key itself where nobody gave it."""
        entry = key[: key.find("]") + 1]  # upstream[NAME], or nothing
        source = self.by_key.get(key) or self.by_key.get(entry)
        if source is None and re.split(r"[.[]", key)[0] in self.tables:
            source = f"{key} in {self.file}"
        return source or key
