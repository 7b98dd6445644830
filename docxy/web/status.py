"""The words of a status line."""

from __future__ import annotations

from http import HTTPStatus

# Python's own words for 413 and 416 change with its version.
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def phrase(status: int) -> bytes:
    """The reason phrase of ``status`` (RFC 9110 section 15); of one that nobody knows, "Unknown"."""
    return _PHRASES.get(status, "Unknown").encode("ascii")
