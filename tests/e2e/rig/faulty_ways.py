"""
The docxy that stands before what breaks, and how a client asks it.

Owns short limits, so that no test waits for real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import hub as places
from .clients import Answer, Curl, Seat
from .faulty_origin import CDN, OTHER_CDN
from .hub import Hub
from .mirror import Plan, tls_listener
from .seed import MIB

LIMITS = {"first_header": 10, "attempt": 1.5, "mend": 15, "mend_attempts": 4}
CRAWL = 50_000  # bytes a second
WIDE = {"connections": 4, "segment": 2 * MIB, "parallel_from": MIB}


def plan(hub: Hub, name: str, address: str, **more: Any) -> Plan:
    """A docxy whose Docker Hub is an `Origin`, at https://NAME.test."""
    upstream = {
        "name": "docker.io",
        "url": "https://faulty.test",
        "realm": "https://faulty.test/token",
        "service": "faulty.test",
        "redirects": [CDN, OTHER_CDN, places.DUAL, *places.PAIRS, *places.LONE],
        "ca": str(hub.authority.cert),
        "stall": 1,
        **more,
    }
    return Plan(name, f"https://{name}.test", [tls_listener(address)], [upstream], limits=LIMITS)


@dataclass(frozen=True, slots=True)
class Tried:
    """One request by curl: its exit status (18: the body was short), and what came."""

    code: int
    answer: Answer


def attempt(seat: Seat, url: str, *headers: str) -> Tried:
    """Ask once, whatever comes of it."""
    head, body = seat.folder("tried") / "head", seat.folder("tried") / "body"
    for path in (head, body):
        path.write_bytes(b"")
    argv = Curl(seat).arguments(url, headers, "-D", str(head), "-o", str(body), "--max-time", "60")
    done = seat.run(argv)
    lines = head.read_text().splitlines() or [""]
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    told = {name.strip().lower(): value.strip() for name, value in pairs}
    status = int(lines[0].split()[1]) if lines[0] else 0
    return Tried(done.code, Answer(status, told, body.read_bytes()))
