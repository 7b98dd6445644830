"""
How much at once, and how soon again.

Owns the memory of upstreams' 429 answers and of refused logins, and the counts
of running relays, of requests that ask upstream, and of connections.  Reads no
clock: every moment is an argument.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil

from docxy.oci.errors import TOOMANYREQUESTS, UNAVAILABLE

MAX_WAIT = 60  # seconds: podman sleeps what we say, up to five times, before it tries elsewhere
MIN_WAIT = 1

_UNTOLD_WAIT = 10  # seconds, where upstream names none: registries do not document theirs
_PROBE_WAIT = 2  # seconds for those who meet a running probe
_PROBE_LIFE = 30.0  # seconds until a probe counts as lost; longer than any answer may take

_MAX_KEYS = 1024

_SECONDS = re.compile(r"[0-9]{1,19}")
_DATE = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_SLOT_WAIT = "5"  # seconds, said to a client that has too many relays or asks

MAX_FAILED_LOGINS = 10
FAILED_LOGIN_LIFE = 60.0  # seconds

_WIDER = 4  # times the connections of a client that the network around it may have


@dataclass(frozen=True, slots=True)
class _Spent:
    """A quota that is used up ``until`` then; ``probe`` is when the running probe counts as lost."""

    until: float
    probe: float | None = None


class Quota:
    """
    Upstreams' 429 answers, remembered for each credential that is ours.

    A key is unknown (ask upstream), spent (wait), or probed: its wait is over
    and one request has been let through to see.
    """

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._spent: OrderedDict[Hashable, _Spent] = OrderedDict()
        self._max_keys = max_keys

    def remember(self, key: Hashable, now: float, retry_after: str | None, *, wall_clock: float) -> int:
        """
        Take note of a 429, also as a probe's result; gives the seconds to wait, 1 to 60.

        ``retry_after`` is the header as sent, ``now`` any steady clock,
        ``wall_clock`` the seconds since 1970 that a date is measured against.
        """
        seconds = short_wait(retry_after, wall_clock)
        self._spent[key] = _Spent(now + seconds)
        self._spent.move_to_end(key)
        if len(self._spent) > self._max_keys:
            self._spent.popitem(last=False)
        return seconds

    def wait(self, key: Hashable, now: float) -> int | None:
        """Seconds that a request has to wait; None: ask upstream, then `remember`, `forget` or `release`."""
        spent = self._spent.get(key)
        if spent is None:
            return None
        if now < spent.until:
            return _bounded(spent.until - now)
        if spent.probe is not None and now < spent.probe:
            return _PROBE_WAIT
        self._spent[key] = replace(spent, probe=now + _PROBE_LIFE)
        return None

    def release(self, key: Hashable) -> None:
        """A probe ended and told nothing of the quota: the next request may probe at once."""
        spent = self._spent.get(key)
        if spent is not None:
            self._spent[key] = replace(spent, probe=None)

    def forget(self, key: Hashable) -> None:
        """Upstream has answered again."""
        self._spent.pop(key, None)


class _Places:
    """What is taken of a limit in all; each client's own is counted beside it."""

    def __init__(self, limit_total: int) -> None:
        self._limit_total = limit_total
        self._total = 0

    @property
    def active(self) -> int:
        """What was taken and not yet released."""
        return self._total

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._limit_total


class RelayCounter(_Places):
    """Bodies on their way, or what else is ``counted``: in all and by `docxy.policy.addresses.bucket`."""

    def __init__(self, limit_total: int, limit_per_client: int, counted: str = "transfers") -> None:
        super().__init__(limit_total)
        self._counted = counted
        self._limit_per_client = limit_per_client
        self._running: Counter[str] = Counter()

    def set_limits(self, total: int, per_client: int) -> None:
        """Count against these from now on; what was taken stays."""
        self._limit_total, self._limit_per_client = total, per_client

    def take(self, bucket: str) -> None:
        """Count one more, or raise `RegistryError`: 429 for one client's, 503 for all."""
        if self._running[bucket] >= self._limit_per_client:
            raise TOOMANYREQUESTS.error(
                f"more than {self._limit_per_client} {self._counted} at once from your address; "
                "try again once some have ended, or ask the operator for more",
                headers=(("Retry-After", _SLOT_WAIT),),
            ).because("places")
        if self._total >= self._limit_total:
            raise UNAVAILABLE.error(
                f"this mirror has as many {self._counted} as it can bear; "
                "try again soon, or go to the registry itself",
                headers=(("Retry-After", _SLOT_WAIT),),
            ).because("places")
        self._running[bucket] += 1
        self._total += 1

    def release(self, bucket: str) -> None:
        """Give back what `take` counted; raises `ValueError` where nothing was taken."""
        if self._running[bucket] <= 0:
            raise ValueError("released more than was taken")
        self._running[bucket] -= 1
        self._total -= 1
        if not self._running[bucket]:
            del self._running[bucket]

    @contextmanager
    def held(self, bucket: str) -> Iterator[None]:
        """Count one more for as long as the context lasts; raises as `take` does."""
        self.take(bucket)
        try:
            yield
        finally:
            self.release(bucket)


class ConnectionCounter(_Places):
    """
    Open connections, in all and for each client.

    A client is its networks from the narrow to the wide, as
    `docxy.policy.addresses.networks` has them: the wide one, which may hold
    many clients or one with many addresses, has four times the limit.
    """

    def __init__(self, limit_total: int, limit_per_client: int) -> None:
        super().__init__(limit_total)
        self._open: Counter[str] = Counter()
        self.set_limits(limit_total, limit_per_client)

    def set_limits(self, total: int, per_client: int) -> None:
        """Count against these from now on; what was taken stays."""
        self._limit_total = total
        self._limits = (per_client, _WIDER * per_client)

    def take(self, networks: tuple[str, ...]) -> bool:
        """Count one more, unless there are too many; a client without networks counts in all only."""
        limits = zip(networks, self._limits, strict=False)
        if self._total >= self._limit_total or any(self._open[name] >= limit for name, limit in limits):
            return False
        self._open.update(networks)
        self._total += 1
        return True

    def release(self, networks: tuple[str, ...]) -> None:
        """Give back what `take` counted; raises `ValueError` where nothing was taken."""
        if self._total <= 0 or any(self._open[name] <= 0 for name in networks):
            raise ValueError("released more than was taken")
        self._total -= 1
        self._open.subtract(networks)
        for name in networks:
            if not self._open[name]:
                del self._open[name]


class FailedLogins:
    """
    Logins that were refused, for each client's `docxy.policy.addresses.bucket`: 10 a minute are borne.

    A login is an opaque key.  One that succeeds after all is no guess, and is
    forgiven: some clients try it in a form that not every registry knows.
    """

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._failed: OrderedDict[str, list[tuple[float, Hashable]]] = OrderedDict()
        self._max_keys = max_keys

    def check(self, bucket: str, now: float) -> None:
        """Raise a 429 `RegistryError` that tells how long to wait, where too many were refused."""
        failed = self._failed.get(bucket, [])
        if len(failed) < MAX_FAILED_LOGINS or now - failed[0][0] >= FAILED_LOGIN_LIFE:
            return
        seconds = _bounded(failed[0][0] + FAILED_LOGIN_LIFE - now)
        raise TOOMANYREQUESTS.error(
            "too many logins from your address were refused; "
            "wait a minute, then log in again with the right password or token",
            headers=(("Retry-After", str(seconds)),),
        ).because("logins")

    def count(self, now: float) -> int:
        """How many were refused lately, as far as they are remembered."""
        return sum(now - at < FAILED_LOGIN_LIFE for failed in self._failed.values() for at, _ in failed)

    def failed(self, bucket: str, login: Hashable, now: float) -> None:
        """This login was refused."""
        failed = self._failed.setdefault(bucket, [])
        failed.append((now, login))
        del failed[:-MAX_FAILED_LOGINS]
        self._failed.move_to_end(bucket)
        if len(self._failed) > self._max_keys:
            self._failed.popitem(last=False)

    def succeeded(self, bucket: str, login: Hashable) -> None:
        """This login is good."""
        failed = [one for one in self._failed.pop(bucket, []) if one[1] != login]
        if failed:
            self._failed[bucket] = failed


def short_wait(retry_after: str | None, wall_clock: float) -> int:
    """The seconds that a client is told to wait after a 429, 1 to 60, whatever upstream said."""
    return _bounded(_seconds(retry_after, wall_clock))


def _bounded(seconds: float) -> int:
    return max(MIN_WAIT, min(MAX_WAIT, ceil(seconds)))


def _seconds(retry_after: str | None, wall_clock: float) -> float:
    """``Retry-After`` in either form (RFC 9110 §10.2.3); what is neither counts as absent."""
    if retry_after is None:
        return _UNTOLD_WAIT
    text = retry_after.strip()
    if _SECONDS.fullmatch(text):
        return int(text)
    moment = _date(text)
    return _UNTOLD_WAIT if moment is None else moment - wall_clock


def _date(text: str) -> float | None:
    """An IMF-fixdate in seconds since 1970 (RFC 9110 §5.6.7); the obsolete forms are not read."""
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second = found.groups()
    try:
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        return None
    return moment.timestamp()
