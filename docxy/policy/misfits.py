"""
Which blobs came with wrong bytes lately, and from where.

A client that got wrong bytes comes back for the rest of them: it must not get
it.  One that asks for the whole should be served by another host.  Reads no
clock: every moment is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

REMEMBERED = 600.0  # seconds

_MAX_BLOBS = 1024


class Misfits:
    """Blobs whose bytes did not fit their digest, each for `REMEMBERED` seconds after the last time."""

    def __init__(self, max_blobs: int = _MAX_BLOBS) -> None:
        self._blobs: OrderedDict[Hashable, tuple[float, int, frozenset[str]]] = OrderedDict()
        self._max_blobs = max_blobs

    def remember(self, blob: Hashable, hosts: Iterable[str], size: int, now: float) -> None:
        """``hosts`` sent ``size`` bytes as ``blob``, and wrong ones."""
        self._blobs[blob] = (now + REMEMBERED, size, self.hosts(blob, now) | frozenset(hosts))
        self._blobs.move_to_end(blob)
        if len(self._blobs) > self._max_blobs:
            self._blobs.popitem(last=False)

    def hosts(self, blob: Hashable, now: float) -> frozenset[str]:
        """Those that sent wrong bytes of ``blob``; empty where none is remembered."""
        until, _, hosts = self._blobs.get(blob, (now, 0, frozenset[str]()))
        if now < until:
            return hosts
        self._blobs.pop(blob, None)
        return frozenset()

    def size(self, blob: Hashable, now: float) -> int | None:
        """How many bytes they last sent as ``blob``; None where `hosts` is empty."""
        return self._blobs[blob][1] if self.hosts(blob, now) else None
