"""
When a certificate is renewed, and how soon a failed try is made again.

Owns the arithmetic.  Reads no clock and draws no lots: moments are seconds
since the epoch, ``chance`` is a number from 0 up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0
LONGEST_LOOK = 6 * 3600.0  # seconds between two looks: clocks jump, machines sleep, files change

_FIRST_WAIT = 60.0
_LONGEST_WAIT = DAY
_SHARE = 2 / 3  # of a life, after which a certificate is renewed
_JITTER = 1 / 30  # of a life, over which renewals spread
_LAST_CALL = 1 / 12  # of a life that is left when it is renewed, whatever the authority suggests
_SHORTEST_POLL = 600.0


@dataclass(frozen=True, slots=True)
class Span:
    """A time from ``start`` to ``end``: a certificate's life, or the window that an authority suggests."""

    start: float
    end: float

    def at(self, share: float) -> float:
        """The moment when this share of it is over."""
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """
    What an authority says of a renewal (RFC 9773): when, and how many seconds until it is asked again.

    ``explanation`` is where it tells people why.
    """

    window: Span
    ask_again: float
    explanation: str | None = None

    @classmethod
    def of(
        cls, start: float, end: float, retry_after: float | None, explanation: str | None = None
    ) -> Suggestion | None:
        """A suggestion that can be heeded; None where the window ends before it begins (section 4.2)."""
        return None if end <= start else cls(Span(start, end), ask_after(retry_after), explanation)


def ask_after(told: float | None) -> float:
    """
    Seconds until an authority is asked for its suggestion again, of which it ``told``.

    It is neither hammered nor forgotten, whatever it says; six hours where it says nothing (RFC 9773
    section 4.3).
    """
    return min(max(LONGEST_LOOK if told is None else told, _SHORTEST_POLL), DAY)


def renew_at(life: Span, window: Span | None, chance: float) -> float:
    """
    When to renew a certificate of this ``life``.

    That is a moment in the authority's window (RFC 9773 section 4.2), else about two thirds of the life;
    never so late that no time is left for failures.  A window that begins before the life does would
    have each new certificate replaced at once, and is no help.
    """
    if window is not None and window.start >= life.start:
        due = window.at(chance)
    else:
        due = life.at(_SHARE - _JITTER * chance)
    return min(due, life.at(1 - _LAST_CALL))


def wait_after(failures: int, told: float | None, chance: float) -> float:
    """
    Seconds until the next try, after this many failures in a row (1 or more).

    They double from a minute to a day; ``told`` is the authority's Retry-After, which is heeded up to
    a week.  Half of each step is left to ``chance``.
    """
    step = min(_FIRST_WAIT * 2.0 ** min(failures - 1, 64), _LONGEST_WAIT)
    return max(step * (0.5 + chance / 2), min(told or 0.0, 7 * DAY))
