"""
Which headers cross the mirror, each way.

Owns two closed lists: what is not named here does not pass.  Knows nothing of
connections; whoever writes an answer sets its length, its challenge, its link
and its digest itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

Lines: TypeAlias = Iterable[tuple[bytes, bytes]]
Answer: TypeAlias = Literal["manifest", "blob", "list", "error"]

MAX_REQUEST_VALUE = 16 * 1024
MAX_RESPONSE_VALUE = 8 * 1024
MAX_USER_AGENT = 1024

# The distribution specification's limit for all warnings of one answer.
MAX_WARNINGS = 4096

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_PAGE = re.compile(rb"^\s*text/|html|xml|svg", re.IGNORECASE)


def _by_key(*names: bytes) -> dict[bytes, bytes]:
    return {name.lower(): name for name in names}


_REQUEST = _by_key(b"Accept", b"User-Agent", b"Range", b"If-Range", b"If-None-Match", b"If-Modified-Since")
_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
# All other headers are single: of two values the first one stands.
_REPEATABLE = frozenset({b"accept", b"if-none-match", b"vary", b"warning"})

_ALWAYS = _by_key(
    b"Content-Encoding",
    b"Content-Type",
    b"RateLimit",
    b"RateLimit-Limit",
    b"RateLimit-Policy",
    b"RateLimit-Remaining",
    b"RateLimit-Reset",
    b"Vary",
    b"Warning",
)
_CONTENT = _ALWAYS | _by_key(b"ETag", b"Last-Modified")
_OCI = _by_key(b"OCI-Chunk-Min-Length", b"OCI-Filters-Applied", b"OCI-Subject", b"OCI-Tag")
_RESPONSE: dict[Answer, dict[bytes, bytes]] = {
    "manifest": _CONTENT | _OCI | _by_key(b"Docker-Content-Digest"),
    "blob": _CONTENT | _OCI | _by_key(b"Accept-Ranges", b"Content-Range"),
    "list": _CONTENT | _OCI,
    "error": _ALWAYS | _by_key(b"Content-Range", b"Retry-After"),
}
INERT = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"default-src 'none'; sandbox"),
)
"""For whatever others wrote: in a browser it must not act as a page of the mirror's own name."""

_OURS = (
    *INERT,
    # What one client may see, a shared cache must not show to another.
    (b"Cache-Control", b"private, no-transform"),
    (b"Docker-Distribution-Api-Version", b"registry/2.0"),
)


def request_to_upstream(lines: Lines, *, authorization: bytes | None) -> list[tuple[bytes, bytes]]:
    """
    What a client's request says to upstream, and the credential that *we* chose for it.

    Every line of ``Accept`` is kept, in order; nothing coded is ever asked for.
    """
    kept = [
        (name, value[:MAX_USER_AGENT] if name == b"User-Agent" else value)
        for name, value in _passed(lines, _REQUEST, MAX_REQUEST_VALUE)
    ]
    kept.append((b"Accept-Encoding", b"identity"))
    if authorization is not None and not _CONTROL.search(authorization):
        kept.append((b"Authorization", authorization))
    return kept


def after_origin_change(lines: Lines) -> list[tuple[bytes, bytes]]:
    """
    The same request for another origin: without any credential.
    """
    return [(name, value) for name, value in lines if name.lower() not in _CREDENTIALS]


def response_to_client(lines: Lines, *, kind: Answer) -> list[tuple[bytes, bytes]]:
    """
    What upstream's answer says to the client.

    A manifest's ranges are cut here and a blob's digest is the one in its URL,
    so upstream's word on those is not passed on.  A blob that calls itself a
    page or a text is given as plain bytes: whoever pushed an image chose that.
    """
    kept: list[tuple[bytes, bytes]] = []
    warnings_left = MAX_WARNINGS
    for name, value in _passed(lines, _RESPONSE[kind], MAX_RESPONSE_VALUE):
        if name == b"Warning":
            warnings_left -= len(value)
            if warnings_left < 0:
                continue
        is_page = kind == "blob" and name == b"Content-Type" and _PAGE.search(value)
        kept.append((name, b"application/octet-stream" if is_page else value))
    return [*kept, *_OURS]


def _passed(lines: Lines, names: dict[bytes, bytes], max_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """
    The lines of ``names``, spelt canonically, without doubles and dangerous values.
    """
    seen: set[bytes] = set()
    for line_name, value in lines:
        key = line_name.lower()
        if key not in names or len(value) > max_bytes or _CONTROL.search(value):
            continue
        if key in seen and key not in _REPEATABLE:
            continue
        seen.add(key)
        yield names[key], value
