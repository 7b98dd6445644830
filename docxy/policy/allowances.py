"""
How many pulls docxy's own credentials have left at each upstream, and when that is little.

Owns the memory of what upstreams told.  Reads no clock: every moment is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

from docxy.oci.allowances import Pulls

UNTOLD_WINDOW = 3600  # seconds for which an upstream's word counts that names no window
LOW = 10  # pulls, or this part of all: a tenth


@dataclass(frozen=True, slots=True)
class Allowance:
    """What ``upstream`` told of ``credential`` at ``seen_at``; ``source`` is whom it counts."""

    upstream: str
    credential: str
    left: Pulls
    limit: Pulls | None
    source: str
    seen_at: float

    @property
    def window(self) -> int | None:
        """Seconds in which the limit counts, where they are told."""
        return self.left.window or (self.limit.window if self.limit else None)

    @property
    def is_low(self) -> bool:
        """Whether little is left: a tenth, or 10 where the limit is not told."""
        if self.limit is None:
            return self.left.count <= LOW
        return self.left.count * LOW <= self.limit.count

    @property
    def share(self) -> float:
        """The part that is left, to compare by."""
        return self.left.count / self.limit.count if self.limit and self.limit.count else 0.0


class Allowances:
    """The last word of each upstream on each credential, until its window has passed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Allowance] = {}
        self._told_until: dict[tuple[str, str], float] = {}

    def note(self, told: Allowance) -> bool:
        """Remember it; True where it is low, and that was not said in this window."""
        key = told.upstream, told.credential
        self._known[key] = told
        if not told.is_low or told.seen_at < self._told_until.get(key, told.seen_at):
            return False
        self._told_until[key] = told.seen_at + (told.window or UNTOLD_WINDOW)
        return True

    def current(self, now: float) -> list[Allowance]:
        """Those whose window has not passed since."""
        return [one for one in self._known.values() if now < one.seen_at + (one.window or UNTOLD_WINDOW)]

    def scarcest(self, now: float) -> dict[str, Allowance]:
        """For each upstream that of which the smallest part is left."""
        ranked = sorted(self.current(now), key=lambda one: one.share, reverse=True)
        return {one.upstream: one for one in ranked}
