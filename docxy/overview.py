"""
What ``/status`` shows: who is served, by whom, and what stands in the way.

Owns the shape, which programs rely on.  Whatever is shown is looked at when
somebody asks.  No token, query or secret path is in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from docxy.interfaces import Clocks
from docxy.policy.allowances import Allowance, Allowances
from docxy.tls.shown import Certificates, Expiry
from docxy.upstream.fetch import Upstream
from docxy.web.traffic import Traffic


class Counted(Protocol):
    """What has a limit: how much of it is in use."""

    @property
    def active(self) -> int: ...

    @property
    def limit(self) -> int: ...


class Overview:
    """
    The state of one process, made of ``build`` and begun when this is made.

    ``upstreams`` are those of the present settings; ``limits`` are counters by
    the names of their settings; ``refused_logins`` tells how many there were lately.
    """

    def __init__(
        self,
        clocks: Clocks,
        build: Mapping[str, str],
        traffic: Traffic,
        certificates: Certificates,
        allowances: Allowances,
        limits: Mapping[str, Counted],
    ) -> None:
        self.upstreams: Mapping[str, Upstream] = {}
        self.refused_logins: Callable[[], int] = int
        self._clocks = clocks
        self._build = build
        self._traffic = traffic
        self._certificates = certificates
        self._allowances = allowances
        self._limits = limits
        self._started = clocks.steady.seconds()

    def shown(self, draining: bool) -> dict[str, object]:
        """All of it, as JSON has it."""
        return {
            "versions": dict(self._build),
            "pid": os.getpid(),
            "started": self._date(self._started),
            "uptime": round(self._clocks.steady.seconds() - self._started, 1),
            "draining": draining,
            "limits": {name: {"used": one.active, "limit": one.limit} for name, one in self._limits.items()},
            "refused_logins": self.refused_logins(),
            "relays": [served.shown() for served in self._traffic.transfers()],
            "upstreams": [self._upstream(upstream) for upstream in self.upstreams.values()],
            "certificates": [self._certificate(expiry) for expiry in self._certificates.expiries()],
        }

    def _upstream(self, upstream: Upstream) -> dict[str, object]:
        name, trouble = upstream.settings.name, upstream.trouble
        current = self._allowances.current(self._clocks.steady.seconds())
        error = None if trouble is None else {"text": trouble.text, "at": self._date(trouble.seen_at)}
        return {
            "name": name,
            "urls": list(upstream.settings.urls),
            "last_error": error,
            "avoided": upstream.avoided(),
            "quotas": [self._quota(one) for one in current if one.upstream == name],
        }

    def _quota(self, allowance: Allowance) -> dict[str, object]:
        return {
            "credential": allowance.credential,
            "limit": None if allowance.limit is None else allowance.limit.count,
            "remaining": allowance.left.count,
            "window": allowance.window,
            "source": allowance.source,
            "at": self._date(allowance.seen_at),
        }

    def _certificate(self, expiry: Expiry) -> dict[str, object]:
        return {
            "names": list(expiry.names),
            "not_after": expiry.not_after.astimezone(UTC).isoformat(timespec="seconds"),
            "seconds_left": int((expiry.not_after - self._certificates.now()).total_seconds()),
            "cert": expiry.files.cert,
            "key": expiry.files.key,
        }

    def _date(self, moment: float) -> str:
        """A moment of the steady clock, as people have it."""
        wall = self._clocks.wall() - (self._clocks.steady.seconds() - moment)
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
