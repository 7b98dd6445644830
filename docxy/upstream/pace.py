"""
What is borne of a body, and how fast it comes while somebody is willing to take it.

Counts by what it is told and reads no clock; what becomes of a slow body is
the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from docxy.policy.retry import Patience

CRAWL_SECONDS = 10.0  # over which a pace is judged


@dataclass(frozen=True, slots=True)
class Care:
    """
    What is borne: ``stall`` seconds without a byte, ``crawl`` bytes a second, and how many tries.

    ``jitter`` gives numbers from 0 up to 1, to spread the tries of many;
    ``home`` is the host (as in `Reply.host`) whose refusal is the registry's.
    """

    stall: float
    crawl: int
    patience: Patience
    jitter: Callable[[], float]
    home: str


class Pace:
    """
    Judges one body: ``stall`` seconds without a byte, less than ``crawl`` bytes a second.

    A ``crawl`` of 0 is no limit.
    """

    def __init__(self, stall: float, crawl: int) -> None:
        self._stall = stall
        self._crawl = crawl
        self.restart()

    def restart(self) -> None:
        """Count anew: the body or its reader's mind has changed."""
        self._heard = True  # what has passed of the time that is told next was before
        self._quiet = 0.0
        self._taken = 0
        self._seconds = 0.0

    def took(self, size: int) -> None:
        """Bytes came."""
        self._heard = True
        self._taken += size

    def passed(self, seconds: float) -> tuple[str, str] | None:
        """After ``seconds`` more: the cause and the words for a body that is too slow."""
        self._quiet = 0.0 if self._heard else self._quiet + seconds
        self._heard = False
        if self._quiet >= self._stall:
            return "stall", f"it sent nothing for {self._stall:g} s"
        self._seconds += seconds
        if self._seconds < CRAWL_SECONDS:
            return None
        is_slow = self._taken < self._crawl * self._seconds
        self._taken, self._seconds = 0, 0.0
        return ("crawl", f"it sent less than {self._crawl} bytes a second") if is_slow else None
