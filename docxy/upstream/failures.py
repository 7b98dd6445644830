"""
Which addresses and hosts failed lately.

Owns the memory only: whoever saw a failure notes it, whoever has a choice
asks.  Nothing is ever refused for it: what failed comes last among those on offer.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.interfaces import IReactorTime

REMEMBERED = 600.0  # seconds
GOOD = -1.0  # the rank of what has not failed; moments are never below 0

_MAX_NAMES = 1024


class FailureMemory:
    """The addresses and hosts (as in `Reply.host`) that failed in the last `REMEMBERED` seconds."""

    def __init__(self, clock: IReactorTime, max_names: int = _MAX_NAMES) -> None:
        self._clock = clock
        self._max_names = max_names
        self._failed: OrderedDict[str, float] = OrderedDict()

    def note(self, name: str) -> None:
        """``name`` has failed now; an empty one is nobody's."""
        if not name:
            return
        self._failed[name] = self.now()
        self._failed.move_to_end(name)
        if len(self._failed) > self._max_names:
            self._failed.popitem(last=False)

    def now(self) -> float:
        """The present moment, as ranks tell moments."""
        return self._clock.seconds()

    def bad(self, name: str) -> bool:
        """Whether ``name`` failed lately."""
        return self.rank(name) != GOOD

    def rank(self, name: str) -> float:
        """A sort key: `GOOD` ones first, then those whose last failure is longest ago."""
        failed_at = self._failed.get(name)
        if failed_at is None:
            return GOOD
        if self.now() - failed_at < REMEMBERED:
            return failed_at
        del self._failed[name]
        return GOOD
