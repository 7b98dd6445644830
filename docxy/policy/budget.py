"""
The traffic of a calendar month, in UTC: how much went to clients, and whether more may.

Owns the counts and their form as JSON, when they begin anew, and the refusal
of what is beyond a budget.  Reads no clock and no file: ``now`` is the seconds
since 1970.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil

from docxy.oci.errors import UNAVAILABLE
from docxy.settings.values import AccessSettings

EVERYBODY = ""
"""Under this name stands what went to all clients; keys have their own."""

WARN_AT = 0.8  # of a budget

_MONTHS = 12
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
_KEPT_MONTHS = 12  # in a file
_MAX_BYTES = 1 << 63  # in a file; more has nobody sent


class MonthlyCounts:
    """
    Bytes sent this month, to all and for each key.

    Two processes may keep their counts in one file, as at a handover: each
    adds to what it finds there what it has not added yet.  The file has a
    place for each month, so that a clock which is wrong for a while, as a
    small machine's is until it has asked for the time, wipes nothing out.
    """

    def __init__(self) -> None:
        self._month = ""
        self._is_read = False
        self._found: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        self._carried: Counter[str] = Counter()  # from another file
        self._told: set[str] = set()

    @property
    def is_dirty(self) -> bool:
        """Whether there is something that the file has not, or may have and was not asked for."""
        return bool(self._own) or not self._is_read

    def spend(self, key: str, size: int, now: float) -> None:
        """``size`` bytes went to a client with this key, "" for none."""
        self._turn(now)
        for name in {EVERYBODY, key}:
            self._own[name] += size

    def spent(self, name: str, now: float) -> int:
        """Bytes of this month so far, for a key or for `EVERYBODY`."""
        self._turn(now)
        return self._found[name] + self._own[name]

    def merged(self, content: object, now: float) -> dict[str, object]:
        """What the file is to hold, which holds ``content``, whatever that is; say `kept` once it does."""
        self._turn(now)
        months = content if isinstance(content, Mapping) else {}
        has_month = self._month in months
        self._found = _read(months[self._month]) if has_month else Counter(self._carried)
        self._is_read = True
        others = sorted(name for name in months if _MONTH.fullmatch(str(name)) and name != self._month)
        kept = {name: _read(months[name]) for name in others[-(_KEPT_MONTHS - 1) :]}
        kept[self._month] = self._found + self._own
        return {name: _written(counts) for name, counts in sorted(kept.items())}

    def kept(self) -> None:
        """The file holds what `merged` gave."""
        self._found += self._own
        self._own.clear()
        self._carried.clear()

    def move(self) -> None:
        """The next file is another: where it has nothing of this month, what the last one had goes there."""
        self._carried = Counter(self._found)
        self._is_read = False

    def check(self, key: str, access: AccessSettings, now: float) -> None:
        """
        Raise a 503 `RegistryError` where the budget of all or that of the key is spent.

        Not 429: podman would wait as it is told, several times, before it goes elsewhere.
        """
        for name, budget in budgets(access).items():
            if name in (EVERYBODY, key) and self.spent(name, now) >= budget:
                whose = "this mirror" if name == EVERYBODY else "your key"
                raise UNAVAILABLE.error(
                    f"{whose} has used up its traffic of this month; pull from the registry itself, "
                    "or ask the operator for more",
                    headers=(("Retry-After", str(ceil(_month_end(now) - now))),),
                ).because("budget")

    def warnings(self, access: AccessSettings, now: float) -> Iterator[str]:
        """What there is to be warned of, each once a month: from 80 % of a budget on, and at its end."""
        for name, budget in budgets(access).items():
            spent = self.spent(name, now)
            key = "access.budget" if name == EVERYBODY else f"access.key[{name}].budget"
            if spent >= budget:
                text = f"{key}: {budget} bytes are sent, and nothing more is before the month ends"
            elif spent >= WARN_AT * budget:
                text = f"{key}: {WARN_AT:.0%} of {budget} bytes are sent this month"
            else:
                continue
            if text not in self._told:
                self._told.add(text)
                yield text

    def _turn(self, now: float) -> None:
        """Begin anew where this is another month."""
        month = _month(now)
        if month != self._month:
            self._month = month
            self._is_read = False
            for counts in (self._found, self._own, self._carried):
                counts.clear()
            self._told.clear()


def budgets(access: AccessSettings) -> dict[str, int]:
    """The budgets that there are, by whose they are."""
    named = {key.name: key.allotment.budget for key in access.keys}
    return {name: size for name, size in {EVERYBODY: access.everybody.budget, **named}.items() if size}


def _written(counts: Counter[str]) -> dict[str, object]:
    """A month's counts, as a file has them."""
    keys = {name: size for name, size in sorted(counts.items()) if name != EVERYBODY}
    return {"bytes": counts[EVERYBODY], "keys": keys}


def _read(content: object) -> Counter[str]:
    """A month's counts of a file; none where it has none, or is no file of ours."""
    if not isinstance(content, Mapping):
        return Counter()
    keys = content.get("keys")
    found = {**(keys if isinstance(keys, Mapping) else {}), EVERYBODY: content.get("bytes")}
    return Counter({str(name): size for name, size in found.items() if _is_size(size)})


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_BYTES


def _month(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def _month_end(now: float) -> float:
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * _MONTHS + first.month, _MONTHS)
    return first.replace(year=year, month=month + 1).timestamp()
