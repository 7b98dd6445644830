"""
What faults are made of: answers that break, each in one way, and the order in which they come.

Owns no server and no list of faults; `faulty_plans` puts these together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from . import hub as places
from .faulty import Asked, End, Faulty, Greeting, Reply, Script
from .faulty_origin import Origin

SMALL, LARGE = 200_000, 1_100_000  # bytes after which a body is cut: 20 resumes, or some
_numbers = itertools.count()


def bad_number() -> int:
    """The number of a bad address that was not met before: docxy remembers."""
    return next(_numbers)


def cut(script: Script, size: int, end: End) -> Script:
    """Every body ends after ``size`` bytes."""
    return lambda asked: replace(script(asked), sent=size, end=end)


def span_of(reply: Reply) -> tuple[int, int, int]:
    """First byte, last byte and total size, as an answer's Content-Range says; of a 200 by its body."""
    told = dict(reply.headers).get("Content-Range", f"bytes 0-{len(reply.body) - 1}/{len(reply.body)}")
    span, _, size = told.removeprefix("bytes ").partition("/")
    first, _, last = span.partition("-")
    return int(first), int(last), int(size)


def cut_off(origin: Origin, place: int, end: End) -> Script:
    """No body gets beyond byte ``place`` of the layer."""

    def answer(asked: Asked) -> Reply:
        reply = origin.blob(asked)
        return replace(reply, sent=max(place - span_of(reply)[0], 0), end=end)

    return answer


def in_turn(*scripts: Script, then: Script) -> Script:
    """Each script answers once, and ``then`` from there on."""
    left = iter(scripts)
    return lambda asked: next(left, then)(asked)


def fails(status: int, retry_after: int | None = None) -> Script:
    """An error page."""
    headers = [("Content-Type", "text/html")]
    headers += [] if retry_after is None else [("Retry-After", str(retry_after))]
    return lambda asked: Reply(status, headers, b"<html>sorry</html>")


def nothing(end: End) -> Script:
    """No answer."""
    return lambda asked: Reply(0, end=end)


def told(script: Script, change: Callable[[int, int, int], str]) -> Script:
    """The Content-Range of a part says what ``change`` makes of first, last and size."""

    def answer(asked: Asked) -> Reply:
        reply = script(asked)
        if reply.status != 206:
            return reply
        line = ("Content-Range", change(*span_of(reply)))
        return replace(reply, headers=[*(one for one in reply.headers if one[0] != line[0]), line])

    return answer


def whole(origin: Origin) -> Script:
    """All of the layer, whatever range is asked for."""
    return lambda asked: origin.blob(replace(asked, headers=()))


def bad_address(origin: Origin, greeting: Greeting | None, lone: bool = False) -> list[Faulty]:
    """The CDN has a bad address before its good one, or alone; nobody listens there without a greeting."""
    number = bad_number()
    origin.location = (places.LONE if lone else places.PAIRS)[number]
    if greeting is None:
        return []
    server = origin.server(places.BAD[number])
    server.greeting = greeting
    return [server]
