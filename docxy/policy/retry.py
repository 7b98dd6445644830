"""
How often a failed try is made again, and how soon.

Owns the budget of one piece of work and the reading of ``Retry-After``.  Reads
no clock and draws no lots: every moment is an argument, chance is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import inf

_SECONDS = re.compile(r"[0-9]{1,9}")
_MAX_DATE = 40  # characters; an IMF-fixdate has 29


@dataclass(frozen=True, slots=True)
class Patience:
    """
    What is borne without progress: ``attempts`` in a row, for ``seconds`` in all.

    Between them the waits double from ``first_wait`` to ``longest_wait``.  A
    try that brought ``worth`` bytes is followed at once: it was no failure of
    the peer as a whole, and so much per try pays for the asking.  Of
    a peer at which nobody listens only ``down`` seconds in a row are borne:
    a restart is over by then, and of anything longer the client should know.
    """

    attempts: int = 8
    seconds: float = 150.0
    first_wait: float = 0.2
    longest_wait: float = 15.0
    down: float = inf
    worth: int = 1 << 20


class Budget:
    """
    The tries that one piece of work has left.

    ``jitter`` gives numbers from 0 up to 1: each wait is between half and
    the whole of its step, so that those whom one fault struck do not come back as one.
    """

    def __init__(self, patience: Patience, now: float, jitter: Callable[[], float]) -> None:
        self._patience = patience
        self._jitter = jitter
        self._since = now
        self._waits = 0
        self._tries_left = patience.attempts - 1  # the try that is running is one
        self._down_since: float | None = None

    def progressed(self, now: float) -> None:
        """The running try has brought something: all is as at the start, and this try does not count."""
        self._since = now
        self._waits = 0
        self._tries_left = self._patience.attempts
        self._down_since = None

    def failed(
        self, now: float, retry_after: float | None = None, is_down: bool = False, brought: int = 0
    ) -> float | None:
        """
        The running try has failed: seconds to wait before the next one; None: the budget is spent.

        ``retry_after`` (seconds, as the peer asked) is heeded within what is
        left; ``is_down`` tells that nobody listens at the peer, ``brought``
        how many bytes came of the try.
        """
        if not is_down:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        remaining = self.left(now)
        if self._tries_left <= 0 or remaining <= 0:
            return None
        is_worth = brought >= self._patience.worth
        wait = max(0.0 if is_worth else self._step(), retry_after or 0.0)
        self._tries_left -= 1
        self._waits += not is_worth
        return min(wait, remaining)

    def left(self, now: float) -> float:
        """Seconds until the budget ends for want of progress; below 0 after that."""
        end = self._since + self._patience.seconds
        if self._down_since is not None:
            end = min(end, self._down_since + self._patience.down)
        return end - now

    def _step(self) -> float:
        patience = self._patience
        # The exponent is bounded because a float's is.
        step = min(patience.first_wait * 2.0 ** min(self._waits, 64), patience.longest_wait)
        return step * (0.5 + self._jitter() / 2)


def told_wait(retry_after: str | None, date: str | None = None) -> float | None:
    """
    Seconds that a ``Retry-After`` asks for (RFC 9110 §10.2.3); None where it says nothing usable.

    A moment is measured against ``date``, the same answer's ``Date``: no other clock need agree.
    """
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment, sent = _moment(text), _moment((date or "").strip())
    return None if moment is None or sent is None else max(0.0, moment - sent)


def _moment(text: str) -> float | None:
    if len(text) > _MAX_DATE:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
