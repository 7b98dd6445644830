"""
Which addresses and hosts failed lately.

Owns the memory only: whoever saw a failure notes it, whoever has a choice
asks.  Nothing is ever refused for it: what failed comes last among those on offer.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.interfaces import IReactorTime

REMEMBERED = 600.0  # seconds
GOOD = 0  # the rank of what has not failed

_MAX_NAMES = 1024


class FailureMemory:
    """The addresses and hosts (as in `Reply.host`) that failed in the last `REMEMBERED` seconds."""

    def __init__(self, clock: IReactorTime, max_names: int = _MAX_NAMES) -> None:
        self._clock = clock
        self._max_names = max_names
        self._count = GOOD
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def now(self) -> float:
        """The present moment, for `failed_since`."""
        return self._clock.seconds()

    def note(self, name: str) -> None:
        """``name`` has failed now; an empty one is nobody's."""
        if not name:
            return
        self._count += 1
        self._failed[name] = (self.now(), self._count)
        self._failed.move_to_end(name)
        if len(self._failed) > self._max_names:
            self._failed.popitem(last=False)

    def bad(self, name: str) -> bool:
        """Whether ``name`` failed lately."""
        return self.rank(name) != GOOD

    def rank(self, name: str) -> int:
        """A sort key: `GOOD` ones first, then those whose last failure is longest ago."""
        failed_at, number = self._failed.get(name, (self.now(), GOOD))
        if self.now() - failed_at < REMEMBERED:
            return number
        del self._failed[name]
        return GOOD

    def names(self) -> list[str]:
        """All that failed lately, the latest last."""
        return [name for name in list(self._failed) if self.bad(name)]

    def failed_since(self, name: str, moment: float) -> bool:
        """Whether ``name`` failed lately, and not before ``moment``."""
        return self.bad(name) and self._failed[name][0] >= moment
