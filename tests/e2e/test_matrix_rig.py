"""
The server of the fault matrix itself, asked by curl without a docxy between: it breaks as it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from .rig import hub as places
from .rig.clients import Seat
from .rig.faulty import Reply, Script
from .rig.faulty_origin import CDN, Origin, noise
from .rig.faulty_parts import bad_address, cut, in_turn, nothing
from .rig.faulty_ways import Tried, attempt
from .rig.hub import Hub

RECEIVED_SHORT, TIMED_OUT, NOTHING, REFUSED, TLS, BROKEN = 18, 28, 52, 7, 35, 56
CUT = 1_000_000


@pytest.fixture
def origin(hub: Hub) -> Iterator[Origin]:
    """The servers, not started."""
    made = Origin(hub, noise("straight"))
    yield made
    made.close()


def ask(hub: Hub, host: str, *headers: str) -> Tried:
    """Ask the CDN beside it."""
    seat = Seat(hub.namespace, hub.state / "direct" / "matrix", hub.authority.cert)
    return attempt(seat, f"https://{host}/layer", *headers)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda good: cut(good, CUT, "reset"), BROKEN),
        (lambda good: cut(good, CUT, "close"), RECEIVED_SHORT),
        (lambda good: cut(lambda asked: replace(good(asked), chunked=True), CUT, "close"), RECEIVED_SHORT),
        (lambda good: nothing("reset"), BROKEN),
        (lambda good: nothing("close"), NOTHING),
    ],
    ids=["reset", "close", "chunked", "reset at once", "close at once"],
)
def test_breaks(hub: Hub, origin: Origin, make: Callable[[Script], Script], code: int) -> None:
    """A body ends where it should and as it should, and so does an answer that never begins."""
    origin.cdn.script = make(origin.blob)
    origin.start()
    tried = ask(hub, CDN)
    assert tried.code == code
    assert tried.answer.body == (origin.content.layer[:CUT] if tried.answer.status else b"")


def test_ranges(hub: Hub, origin: Origin) -> None:
    """A good CDN knows ranges of every form, and counts what it sends."""
    origin.start()
    layer = origin.content.layer
    for asked, right in (("5-", layer[5:]), ("-7", layer[-7:]), ("5-9", layer[5:10])):
        tried = ask(hub, CDN, f"Range: bytes={asked}")
        assert (tried.code, tried.answer.status, tried.answer.body) == (0, 206, right)
    assert ask(hub, CDN, f"Range: bytes={len(layer)}-").answer.status == 416
    assert origin.cdn.sent == len(layer) - 5 + 7 + 5


def test_turns(hub: Hub, origin: Origin) -> None:
    """Answers can be told one by one."""
    origin.cdn.script = in_turn(lambda asked: Reply(503), then=origin.blob)
    origin.start()
    assert [ask(hub, CDN).answer.status for _ in range(3)] == [503, 200, 200]


@pytest.mark.parametrize(("greeting", "code"), [(None, REFUSED), ("garbage", TLS), ("reset", TLS)])
def test_bad_address(hub: Hub, origin: Origin, greeting: str | None, code: int) -> None:
    """An address refuses, or breaks in the handshake; a name may have it beside a good one."""
    others = bad_address(origin, greeting, lone=True)  # type: ignore[arg-type]
    origin.start(*others)
    assert ask(hub, origin.location).code == code
    pair = origin.location.replace("lone", "pair")
    found = hub.namespace.run(["getent", "ahosts", pair]).check().out.split()
    assert found[0] in places.BAD
    assert places.FAULTY_CDN in found
