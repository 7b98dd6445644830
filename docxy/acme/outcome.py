"""
What an authority answers: a certificate, the reason why there is none, what it offers.

Knows nothing of the library, which need not be installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain, leaf first, and its key, both in PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What an authority's directory says of it (RFC 8555 section 7.1.1).

    ``is_bound``: it makes accounts only for those whom it knows otherwise; ``profiles`` are their names.
    """

    is_bound: bool
    profiles: tuple[str, ...]


class Refused(Exception):
    """
    A try has failed; the text says why.

    ``retry_after`` is how many seconds the authority asks to wait; None: it does not.
    """

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Unproved(Refused):
    """The authority does not believe that the names are ours, by one kind of challenge."""
