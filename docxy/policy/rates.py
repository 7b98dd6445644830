"""
How much in how long: token buckets for all, for each key and for each client.

Owns how requests are refused and how bytes are paced, and the bound on the
clients that are remembered.  Reads no clock: every moment is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from docxy.oci.errors import TOOMANYREQUESTS
from docxy.policy.limits import MAX_WAIT
from docxy.settings.values import AccessSettings, Allotment

MAX_CLIENTS = 4096

MAX_DEBT = 30.0  # seconds; no large manifest may cost all others a longer pause
_PIECES = 32  # of a second's worth: what goes out at once, so that many transfers take turns soon
_LEAST_PIECE = 1024  # bytes

_WHOSE = {"everybody": "all clients of this mirror together", "key": "your key", "client": "your address"}


class Bucket:
    """
    Gives ``rate`` a second, and ``burst`` at once after a while without use.

    Who draws only when `wait` is 0 never gets more than rate * seconds + burst.
    Bytes that have passed already are drawn in any case: the bucket is then in
    debt, of `MAX_DEBT` at most, and `wait` until it is paid keeps the rate.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._seen = now

    def change(self, rate: float, burst: float, now: float) -> None:
        """Give at another rate from now on; what was drawn stays drawn."""
        self._fill(now)
        self._level += min(0.0, burst - self._burst)
        self._rate, self._burst = rate, burst
        self._forgive()

    @property
    def rate(self) -> float:
        """What it gives a second."""
        return self._rate

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there is ``amount``, which is at most the burst; 0: there is."""
        self._fill(now)
        return max(0.0, (amount - self._level) / self._rate)

    def draw(self, amount: float, now: float) -> None:
        """Take ``amount``, even where there is less."""
        self._fill(now)
        self._level -= amount
        self._forgive()

    def _forgive(self) -> None:
        self._level = max(self._level, -MAX_DEBT * self._rate)

    def _fill(self, now: float) -> None:
        gone = max(0.0, now - self._seen)
        self._level = min(self._burst, self._level + gone * self._rate)
        self._seen = now


class Pace:
    """What a transfer draws its bytes from: the buckets of its client, its key and all, at least one."""

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self._buckets = buckets

    @property
    def piece(self) -> int:
        """The bytes to write before it is drawn from again."""
        return max(_LEAST_PIECE, int(min(bucket.rate for bucket in self._buckets) / _PIECES))

    def wait(self, now: float) -> float:
        """The seconds to wait before any bytes, for what others have drawn."""
        return max(bucket.wait(0, now) for bucket in self._buckets)

    def draw(self, size: int, now: float) -> float:
        """``size`` bytes pass; the seconds to wait before any more."""
        for bucket in self._buckets:
            bucket.draw(size, now)
        return self.wait(now)


@dataclass(slots=True)
class _Pair:
    """The buckets of one client, one key or of all; None where there is no bound."""

    requests: Bucket | None
    bytes: Bucket | None


class Rates:
    """The buckets by ``access``; a `renew` keeps what was drawn."""

    def __init__(self, access: AccessSettings, now: float, max_clients: int = MAX_CLIENTS) -> None:
        self._access = access
        self._max_clients = max_clients
        self._everybody = _pair(access.everybody, now)
        self._keys = {key.name: _pair(key.allotment, now) for key in access.keys}
        self._clients: OrderedDict[str, _Pair] = OrderedDict()

    def renew(self, access: AccessSettings, now: float) -> None:
        """Count by other settings from now on; the running transfers of who has a rate still take it on."""
        self._access = access
        _change(self._everybody, access.everybody, now)
        old, self._keys = self._keys, {}
        for key in access.keys:
            pair = self._keys[key.name] = old.get(key.name) or _pair(key.allotment, now)
            _change(pair, key.allotment, now)
        for pair in self._clients.values():
            _change(pair, access.client, now)

    def admit(self, client: str, key: str, now: float, *, is_stranger: bool = False) -> None:
        """
        Count one request of a `docxy.policy.addresses.bucket` with a key, "" for none.

        A stranger, who shows no secret where there is one, takes nothing from what is for all.
        Raises a 429 `RegistryError` that tells how long to wait, and counts nothing then.
        """
        pairs = self._pairs(client, key, now, is_stranger=is_stranger)
        found = [(whose, pair.requests) for whose, pair in pairs]
        buckets = [(whose, bucket) for whose, bucket in found if bucket is not None]
        seconds, whose = max(((bucket.wait(1, now), whose) for whose, bucket in buckets), default=(0, ""))
        if seconds > 0:
            raise TOOMANYREQUESTS.error(
                f"too many requests a minute from {_WHOSE[whose]}; wait, or ask the operator for more",
                headers=(("Retry-After", str(min(MAX_WAIT, ceil(seconds)))),),
            ).because("requests")
        for _, bucket in buckets:
            bucket.draw(1, now)

    def pace(self, client: str, key: str, now: float) -> Pace | None:
        """What a transfer of this client draws from; None: nobody bounds it."""
        buckets = tuple(pair.bytes for _, pair in self._pairs(client, key, now) if pair.bytes is not None)
        return Pace(buckets) if buckets else None

    def _pairs(
        self, client: str, key: str, now: float, *, is_stranger: bool = False
    ) -> Iterator[tuple[str, _Pair]]:
        if not is_stranger:
            yield "everybody", self._everybody
        if key in self._keys:
            yield "key", self._keys[key]
        if self._access.client != Allotment():
            yield "client", self._client(client, now)

    def _client(self, client: str, now: float) -> _Pair:
        pair = self._clients.get(client)
        if pair is None:
            pair = self._clients[client] = _pair(self._access.client, now)
            if len(self._clients) > self._max_clients:
                self._clients.popitem(last=False)
        self._clients.move_to_end(client)
        return pair


def _pair(allotment: Allotment, now: float) -> _Pair:
    pair = _Pair(None, None)
    _change(pair, allotment, now)
    return pair


def _change(pair: _Pair, allotment: Allotment, now: float) -> None:
    pair.requests = _changed(pair.requests, allotment.requests / 60, allotment.requests, now)
    pair.bytes = _changed(pair.bytes, allotment.rate, allotment.rate, now)


def _changed(bucket: Bucket | None, rate: float, burst: float, now: float) -> Bucket | None:
    """The bucket with another rate: a new one where there was none, none where there is no bound."""
    if not rate:
        return None
    if bucket is None:
        return Bucket(rate, burst, now)
    bucket.change(rate, burst, now)
    return bucket
