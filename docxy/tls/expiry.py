"""
When the end of a certificate is spoken of, and how.

Owns how long before it, and what was said already.  Reads no clock: every
moment is an argument.

A certificate of 90 days is renewed with a month left, one of six days with two
days left: what is late for the one is far too early for the other.  So both
times shrink with a life that is short.  Who renews at two thirds of it, as docxy
itself, has a twelfth of the life for tries that fail before the first warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from docxy.tls.shown import Expiry

WARNED = timedelta(days=14)
WARNED_SHARE = 4  # of a life: a quarter of it, where that is less
URGENT = timedelta(days=3)
URGENT_SHARE = 10
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


def counted(expiries: Iterable[Expiry], now: datetime) -> dict[tuple[str, ...], float]:
    """How many of them there is a ``warning`` or an ``error`` to say of."""
    found = [reminder for expiry in expiries if (reminder := reminder_of(expiry, now)) is not None]
    urgent = sum(reminder.urgent for reminder in found)
    return {("warning",): len(found) - urgent, ("error",): urgent}


def reminder_of(expiry: Expiry, now: datetime) -> Reminder | None:
    """
    What there is to say of one certificate.

    None while its end is more than 14 days away, or more than a quarter of its
    life; urgent from 3 days or a tenth on.
    """
    left = expiry.not_after - now
    if left > min(WARNED, expiry.life / WARNED_SHARE):
        return None
    files, end = expiry.files, f"{expiry.not_after:%Y-%m-%d %H:%M} UTC"
    if left < timedelta():
        when = f"expired on {end}: clients refuse it"
    else:
        when = f"expires on {end}, in {_shown(left)}"
    then = "restart docxy then" if expiry.lasting else "docxy takes the new files over by itself"
    text = f"the certificate in {files.cert!r} {when}; renew it, {then}"
    return Reminder(files.cert_setting, text, left <= min(URGENT, expiry.life / URGENT_SHARE))


def _shown(left: timedelta) -> str:
    return f"{left.days} days" if left.days > 1 else f"{left // timedelta(hours=1)} hours"
