"""
What a client will be told, before any of it is written.

Owns the values that the mirror gives to the web, and how an upstream's
refusal is put to a client.  Knows nothing of how it is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from docxy.interfaces import HeaderLines, IBody, Reply, UpstreamError, UpstreamTimedOut
from docxy.oci.errors import (
    BLOB_UNKNOWN,
    DENIED,
    MANIFEST_UNKNOWN,
    NAME_UNKNOWN,
    RANGE_INVALID,
    TOOMANYREQUESTS,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    ErrorCode,
    RegistryError,
)
from docxy.oci.headers import response_to_client
from docxy.oci.ranges import Interval
from docxy.oci.routes import Kind
from docxy.oci.verify import Verifier

MAX_ERROR = 65536  # bytes of an upstream's error that are worth relaying


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
    A body still to come from upstream.

    ``window`` is the part of it that the client asked for where upstream
    sends more; ``verifier`` checks all of it; ``stall`` is how many seconds
    without a byte are borne.
    """

    body: IBody
    host: str
    stall: float
    window: Interval | None = None
    verifier: Verifier | None = None


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
_BY_KIND = {Kind.MANIFEST: MANIFEST_UNKNOWN, Kind.BLOB: BLOB_UNKNOWN}


def error_code(status: int, kind: Kind) -> ErrorCode:
    """The specification's code for an upstream's ``status`` on this kind of request."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 404:
        return _BY_KIND.get(kind, NAME_UNKNOWN)
    return UNAVAILABLE if status >= 500 else UNKNOWN


async def refusal(reply: Reply, kind: Kind) -> Answer:
    """
    An upstream's refusal: its own JSON where it has some, else ours of the same status.

    The caller adds a challenge or a waiting time.
    """
    try:
        content = await reply.body.read(MAX_ERROR)
    except UpstreamError:
        content = b""
    headers = response_to_client(reply.headers, kind="error")
    if not _is_json_object(content):
        message = f"upstream answered with status {reply.status}"
        content = error_code(reply.status, kind).error(message, status=reply.status).body()
        dropped = (b"content-type", b"content-encoding")
        headers = [(name, value) for name, value in headers if name.lower() not in dropped]
        headers.append((b"Content-Type", b"application/json"))
    return Answer(reply.status, tuple(headers), len(content), content)


def _is_json_object(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


def unavailable(upstream: str, error: UpstreamError) -> RegistryError:
    """Upstream's failure, as the client is told: 504 for time, 502 for the rest."""
    status = 504 if isinstance(error, UpstreamTimedOut) else 502
    return UNAVAILABLE.error(f"{upstream}: {error}", status=status)
