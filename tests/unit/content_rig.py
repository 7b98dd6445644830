"""
Requests with ranges, and what they mean, for the tests of contents.
"""

from __future__ import annotations

from hypothesis import strategies as st

from docxy.answers import Caller
from docxy.oci.routes import Route, parse

TYPE = (b"Content-Type", b"application/vnd.oci.image.index.v1+json")


def route(path: str) -> Route:
    """The route of a GET."""
    return parse(b"GET", path.encode(), b"")


def caller(*headers: tuple[bytes, bytes], method: bytes = b"GET") -> Caller:
    """Somebody who asks with these headers."""
    return Caller(method, headers, None, "https://m", None)


def ranged(value: str) -> Caller:
    """Somebody who asks for a range."""
    return caller((b"Range", value.encode()))


def expected(value: str, size: int) -> tuple[int, int] | None:
    """First and last byte that one range means, by the letter of RFC 9110 section 14.1.2; None: 416."""
    first, last = value.removeprefix("bytes=").split("-")
    wanted = [
        at
        for at in range(size)
        if (at >= int(first) and (not last or at <= int(last)) if first else at >= size - int(last))
    ]
    return (wanted[0], wanted[-1]) if wanted else None


RANGES = st.builds(
    lambda first, more: f"bytes={first}-{'' if more is None else first + more}",
    st.integers(0, 40),
    st.none() | st.integers(0, 40),
) | st.builds("bytes=-{}".format, st.integers(0, 40))
