"""
A line of the table of faults, and the list of all of them, which `faulty_plans` fills.

Owns the words for how a request may end.  Knows nothing of what is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .faulty import Faulty
from .faulty_origin import Origin

Way = Literal["whole", "range", "suffix", "parallel"]
OK, SHORT, UNUSED = "ok", "ended short", "-"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One line of the table: what is broken, what is asked for, and how each way of asking for it must end.

    ``apply`` gives back servers to be started beside those of the origin.
    """

    name: str
    apply: Callable[[Origin], list[Faulty] | None]
    kind: Literal["blob", "manifest"]
    ends: dict[Way, str]


FAULTS: list[Fault] = []


def fault(
    name: str, kind: Literal["blob", "manifest"] = "blob", ends: str = OK, **other: str
) -> Callable[[Callable[[Origin], list[Faulty] | None]], Callable[[Origin], list[Faulty] | None]]:
    """Put a fault on the list; ``other`` names the ways that end otherwise than ``ends``."""
    ways: tuple[Way, ...] = ("whole", "range", "suffix", "parallel")

    def listed(apply: Callable[[Origin], list[Faulty] | None]) -> Callable[[Origin], list[Faulty] | None]:
        FAULTS.append(Fault(name, apply, kind, {way: other.get(way, ends) for way in ways}))
        return apply

    return listed
