"""
A request's query: kept byte for byte, but for what is ours.

Owns the parameters ``ns`` (taken out: it names an upstream, distribution
specification 1.2, "Registry Proxying") and ``n`` (bounded).  Knows nothing
of paths, and nothing of which namespaces exist.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from docxy.oci.errors import PAGINATION_NUMBER_INVALID, REQUEST_INVALID

MAX_QUERY = 8192

# Registries fail above this (ECR), or allocate what they are told (CVE-2023-2253).
MAX_PAGE = 1000

_MAX_NS = 255
_LABEL = r"[a-z0-9](?:[a-z0-9_]|-+[a-z0-9_])*"
_NS = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")

# A query has no space, and a "#" in it would be cut off as a fragment on the way up.
_VISIBLE = re.compile(rb"[!-\"$-~]*")
_DIGITS = re.compile(r"[0-9]+")


def check_query(query: bytes) -> None:
    """
    Refuse a query that could not be sent on as it is: 400.
    """
    if len(query) > MAX_QUERY or not _VISIBLE.fullmatch(query):
        raise REQUEST_INVALID.error("the query is malformed or too long")


def take_ns(query: bytes) -> tuple[str | None, bytes]:
    """
    The value of ``ns``, lower-cased, and the query without it.

    Raises a 400 error for two of them and for what is no ``host[:port]``.
    """
    parts = query.split(b"&")
    found = [part for part in parts if _name(part) == "ns"]
    if not found:
        return None, query
    if len(found) > 1:
        raise REQUEST_INVALID.error("ns is given more than once")
    rest = b"&".join(part for part in parts if _name(part) != "ns")
    return _parse_ns(_value(found[0])), rest


def bound_page(query: bytes) -> bytes:
    """
    The query with ``n`` at most 1000, or ``PAGINATION_NUMBER_INVALID``.
    """
    return b"&".join(_bound(part) if _name(part) == "n" else part for part in query.split(b"&"))


def _bound(part: bytes) -> bytes:
    text = _value(part)
    if not _DIGITS.fullmatch(text):
        raise PAGINATION_NUMBER_INVALID.error()
    # Compared by length first: int() of a very long text is slow, then refused.
    digits = text.lstrip("0")
    return b"n=%d" % MAX_PAGE if len(digits) > 4 or int(digits or "0") > MAX_PAGE else part


def _parse_ns(text: str) -> str:
    ns = text.lower()
    # ASCII before lower-casing: the Kelvin sign would become a plain "k".
    if len(ns) > _MAX_NS or not text.isascii() or not _NS.fullmatch(ns):
        raise REQUEST_INVALID.error("ns is not a registry's host name")
    return ns


def _name(part: bytes) -> str:
    # Decoded, because upstream would decode it: "n%73" is "ns" too.
    return unquote_plus(part.partition(b"=")[0].decode("latin-1"))


def _value(part: bytes) -> str:
    return unquote_plus(part.partition(b"=")[2].decode("latin-1"))
