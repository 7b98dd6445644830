"""
What a client will be told, before any of it is written.

Owns the values that the mirror gives to the web, and how an upstream's
refusal is put to a client.  Knows nothing of how it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from docxy.interfaces import Clocks, Course, HeaderLines, Reply, Span, UpstreamError, UpstreamTimedOut
from docxy.oci.errors import (
    BLOB_UNKNOWN,
    DENIED,
    MANIFEST_UNKNOWN,
    NAME_UNKNOWN,
    NOT_FOUND,
    RANGE_INVALID,
    TOOMANYREQUESTS,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    ErrorCode,
    RegistryError,
)
from docxy.oci.headers import response_to_client
from docxy.oci.routes import Kind
from docxy.oci.verify import Verifier
from docxy.policy.limits import short_wait

MAX_ERROR = 65536  # bytes of an upstream's error that are worth relaying
MAX_ERROR_WAIT = 5.0  # seconds that its text is worth waiting for: the status is known

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who asks: what the web knows of a request, beside its route.

    ``base_url`` is how this client reaches us; ``authorization`` its one
    Authorization header, or None.
    """

    method: bytes
    headers: HeaderLines
    host: str | None
    base_url: str
    authorization: bytes | None

    def __repr__(self) -> str:
        return f"Caller(method={self.method!r})"

    @property
    def is_head(self) -> bool:
        """Whether the client wants no body."""
        return self.method == b"HEAD"

    def header(self, name: bytes) -> str | None:
        """The first value of header ``name``, if the client sent it."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return None


@dataclass(frozen=True, slots=True)
class Stream:
    """
    A body still to come from upstream, in ``reply``.

    ``span`` is what of the content the client gets; ``verifier`` checks all
    of it.  ``is_mendable`` tells that bytes of another answer would fit in.
    """

    reply: Reply
    span: Span
    is_mendable: bool = False
    verifier: Verifier | None = None
    course: Course = field(default_factory=Course)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer: ``length`` is its Content-Length in bytes, None for a body of unknown size.

    ``source`` is "relay" for upstream's bytes and "self" for ours.
    """

    status: int
    headers: HeaderLines
    length: int | None
    content: bytes | Stream = b""
    source: str = "relay"


def own_answer(status: int, content: bytes, headers: HeaderLines = ()) -> Answer:
    """An answer made here, whose length is that of ``content``."""
    return Answer(status, headers, len(content), content, "self")


_BY_STATUS = {401: UNAUTHORIZED, 403: DENIED, 416: RANGE_INVALID, 429: TOOMANYREQUESTS}
_BY_KIND = {
    Kind.MANIFEST: MANIFEST_UNKNOWN,
    Kind.BLOB: BLOB_UNKNOWN,
    # oras takes NAME_UNKNOWN as said of the whole repository, and asks for no fallback tag.
    Kind.REFERRERS: NOT_FOUND,
}


def error_code(status: int, kind: Kind) -> ErrorCode:
    """The specification's code for an upstream's ``status`` on this kind of request."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 404:
        return _BY_KIND.get(kind, NAME_UNKNOWN)
    return UNAVAILABLE if status >= 500 else UNKNOWN


async def refusal(reply: Reply, kind: Kind, clocks: Clocks) -> Answer:
    """
    An upstream's refusal: its own JSON where it has some, else ours of the same status.

    It tells a wait as `waiting` has it.  The caller adds a challenge.
    """
    try:
        content: bytes = await reply.body.read(MAX_ERROR).addTimeout(MAX_ERROR_WAIT, clocks.steady)
    except (UpstreamError, TimeoutError):
        content = b""
    headers = response_to_client(reply.headers, kind="error")
    if not _is_json_object(content):
        message = f"upstream answered with status {reply.status}"
        content = error_code(reply.status, kind).error(message, status=reply.status).body()
        headers = _without(headers, b"Content-Encoding")
    if b"json" not in dict(headers).get(b"Content-Type", b""):
        headers = [*_without(headers, b"Content-Type"), (b"Content-Type", b"application/json")]
    return Answer(reply.status, waiting(reply.status, headers, clocks.wall()), len(content), content)


def _is_json_object(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


def _without(headers: HeaderLines, unwanted: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() != unwanted.lower()]


def waiting(status: int, headers: HeaderLines, wall_clock: float) -> HeaderLines:
    """
    ``headers`` of an answer: a refusal tells no wait but of 1 to 60 seconds, a 429 always one.

    podman sleeps what it is told, several times, before it tries elsewhere.
    """
    told = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    if status < 400 or (told is None and status != 429):
        return tuple(_without(headers, b"Retry-After"))
    seconds = short_wait(None if told is None else told.decode("latin-1"), wall_clock)
    return (*_without(headers, b"Retry-After"), (b"Retry-After", b"%d" % seconds))


def in_time(seconds: float, clock: IReactorTime, work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    """``work``, cancelled and failed with `UpstreamTimedOut` once ``seconds`` are over."""

    def late(_: object, allowed: float) -> Failure:
        return Failure(UpstreamTimedOut(f"no whole answer within {allowed:g} s"))

    return Deferred.fromCoroutine(work).addTimeout(seconds, clock, late)


def unavailable(upstream: str, error: UpstreamError) -> RegistryError:
    """Upstream's failure, as the client is told: 504 for time, 502 for the rest."""
    status = 504 if isinstance(error, UpstreamTimedOut) else 502
    return UNAVAILABLE.error(f"{upstream}: {error}", status=status)
