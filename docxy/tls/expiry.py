"""
When the end of a certificate is spoken of, and how.

Owns the days before it, and what was said already.  Reads no clock: every
moment is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from docxy.tls.shown import Expiry

WARNED = timedelta(days=14)
URGENT = timedelta(days=3)
AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reminder:
    """That a certificate ends, told under ``setting``; ``urgent`` in its last days and after them."""

    setting: str
    text: str
    urgent: bool


class Reminders:
    """What is to be said of the ends of certificates: each thing once a day while it lasts."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, bool], datetime] = {}

    def due(self, expiries: Iterable[Expiry], now: datetime) -> list[Reminder]:
        """The reminders that are to be said at ``now``."""
        found = []
        lasting = {}
        for expiry in expiries:
            reminder = reminder_of(expiry, now)
            if reminder is None:
                continue
            what = expiry.files.cert, reminder.urgent
            told = self._told.get(what)
            if told is None or now - told >= AGAIN:
                told = now
                found.append(reminder)
            lasting[what] = told
        self._told = lasting
        return found


def reminder_of(expiry: Expiry, now: datetime) -> Reminder | None:
    """What there is to say of one certificate; None while its end is more than 14 days away."""
    left = expiry.not_after - now
    if left > WARNED:
        return None
    files, end = expiry.files, f"{expiry.not_after:%Y-%m-%d %H:%M} UTC"
    if left < timedelta():
        when = f"expired on {end}: clients refuse it"
    else:
        when = f"expires on {end}, in {_shown(left)}"
    then = "restart docxy then" if expiry.lasting else "docxy takes the new files over by itself"
    text = f"the certificate in {files.cert!r} {when}; renew it, {then}"
    return Reminder(files.cert_setting, text, left <= URGENT)


def _shown(left: timedelta) -> str:
    return f"{left.days} days" if left.days > 1 else f"{left // timedelta(hours=1)} hours"
