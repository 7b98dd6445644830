"""
What a request is about, read from its method, raw path and query.

Owns the URL grammar: ``/{0 to 2 segments}/v2/...``, ``/v1/...`` and
``/auth/token``.  Must not know which upstreams, prefixes or secrets exist.

The path is read undecoded.  A legal path holds no ``%`` but the ``%3A`` that
some HTTP libraries write for a digest's colon, so whatever needs decoding is
refused rather than understood.  Names may contain the words `manifests`,
`blobs`, `tags` and `v2`: the last marker decides, and the name takes the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from docxy.oci.errors import NAME_INVALID, NOT_FOUND, REQUEST_INVALID, UNSUPPORTED
from docxy.oci.names import COMPONENT, MAX_NAME, Digest, Reference, parse_reference
from docxy.oci.queries import bound_page, check_query, take_ns

_MAX_PATH = 4096

# A name as the client writes it may begin with a secret or an upstream's host.
_MAX_ROUTE_NAME = MAX_NAME + 64
_MAX_FRONT = 2

_COMPONENT = re.compile(COMPONENT)
_FRONT_COMPONENT = re.compile(rf"{COMPONENT}(?::[0-9]{{1,5}})?")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~:-]{1,128}")
_COLON = re.compile("%3a", re.IGNORECASE)


class Kind(Enum):
    """
    The endpoints.
    """

    PING = "ping"
    MANIFEST = "manifest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    TOKEN = "token"
    V1_PING = "v1_ping"
    V1_SEARCH = "v1_search"


_MARKERS = ("v2", "v1", "auth")
_BY_MARKER = {"manifests": Kind.MANIFEST, "blobs": Kind.BLOB, "referrers": Kind.REFERRERS}
_BY_V1_PATH: dict[tuple[str, ...], Kind] = {("_ping",): Kind.V1_PING, ("search",): Kind.V1_SEARCH}
_UPLOADS = ["blobs", "uploads"]
_PAGED = (Kind.TAGS, Kind.CATALOG)
_READING = (b"GET", b"HEAD")
_ASKING = (b"GET", b"POST")


@dataclass(frozen=True, slots=True)
class Route:
    """
    A request understood.

    ``prefix`` are the segments in front of ``/v2`` or ``/v1``; for a token,
    all but `auth` and `token`.  ``name`` is the repository as the client
    wrote it: it may begin with up to two components that are a secret or a
    host with its port.  ``query`` is as sent, without ``ns``.
    """

    kind: Kind
    prefix: tuple[str, ...] = ()
    name: str | None = None
    reference: Reference | None = None
    ns: str | None = None
    query: bytes = b""
    token_upstream: str | None = None


def parse(method: bytes, path: bytes, query: bytes) -> Route:
    """
    The route of a request, or the `RegistryError` that answers it.

    What is wrong with the path is reported first, then the query, then a
    method that the path does not have (405 with ``Allow``).
    """
    if not path.startswith(b"/") or len(path) > _MAX_PATH:
        raise REQUEST_INVALID.error("the request's target is no path, or too long")
    # Latin-1 never fails, and the grammar below is ASCII alone.
    route = _locate(method, path.decode("latin-1").split("/")[1:])
    check_query(query)
    ns, rest = take_ns(query)
    if route.kind in _PAGED:
        rest = bound_page(rest)
    _check_method(method, _ASKING if route.kind is Kind.TOKEN else _READING)
    return replace(route, ns=ns, query=rest)


def _check_method(method: bytes, allowed: tuple[bytes, ...]) -> None:
    if method not in allowed:
        allow = b", ".join(allowed).decode("ascii")
        raise UNSUPPORTED.error(headers=(("Allow", allow),))


def behind_v2(path: bytes) -> bytes:
    """The segment behind ``/v2/`` in a raw path, in a malformed one as well; empty where there is none."""
    segments = path.decode("latin-1").split("/", _MAX_FRONT + 3)[1:]
    index = _marker(segments)
    return segments[index + 1].encode("latin-1") if segments[index:-1][:1] == ["v2"] else b""


def _marker(segments: list[str]) -> int:
    """Where the word stands that tells the endpoints apart; behind the last segment where none does."""
    found = (index for index, one in enumerate(segments[: _MAX_FRONT + 1]) if one in _MARKERS)
    return next(found, len(segments))


def _locate(method: bytes, segments: list[str]) -> Route:
    index = _marker(segments)
    prefix, marker, rest = tuple(segments[:index]), segments[index : index + 1], segments[index + 1 :]
    if not marker:
        raise NOT_FOUND.error()
    if marker == ["v2"]:
        return _v2(method, _checked(prefix), rest)
    return _v1(_checked(prefix), rest) if marker == ["v1"] else _token(_checked(prefix), rest)


def _checked(segments: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise NOT_FOUND.error()
    return segments


def _v1(prefix: tuple[str, ...], rest: list[str]) -> Route:
    kind = _BY_V1_PATH.get(tuple(rest))
    if kind is None:
        raise NOT_FOUND.error()
    return Route(kind, prefix)


def _token(prefix: tuple[str, ...], rest: list[str]) -> Route:
    if len(prefix) > 1 or len(rest) > 2 or rest[-1:] != ["token"]:
        raise NOT_FOUND.error()
    upstream = _checked(tuple(rest[:-1]))
    return Route(Kind.TOKEN, prefix + upstream, token_upstream=upstream[0] if upstream else None)


def _v2(method: bytes, prefix: tuple[str, ...], rest: list[str]) -> Route:
    if rest in ([], [""]):
        return Route(Kind.PING, prefix)
    if rest == ["_catalog"]:
        return Route(Kind.CATALOG, prefix)
    if rest[-2:] == ["tags", "list"]:
        return Route(Kind.TAGS, prefix, _name(rest[:-2]))
    _refuse_upload(method, rest)
    kind = _BY_MARKER.get(rest[-2]) if len(rest) > 1 else None
    if kind is None:
        raise NOT_FOUND.error()
    return Route(kind, prefix, _name(rest[:-2]), _reference(kind, rest[-1]))


def _refuse_upload(method: bytes, rest: list[str]) -> None:
    """
    Nothing is pushed through a mirror: 405, or 404 to who only looks.
    """
    size = 2 if rest[-2:] == _UPLOADS else 3
    if rest[-size:][:2] == _UPLOADS:
        _name(rest[:-size])
        _check_method(method, _READING)
        raise NOT_FOUND.error()


def _name(components: list[str]) -> str:
    name = "/".join(components)
    front = components[:-1][:_MAX_FRONT]
    if len(name) > _MAX_ROUTE_NAME or not (
        all(_FRONT_COMPONENT.fullmatch(component) for component in front)
        and all(_COMPONENT.fullmatch(component) for component in components[len(front) :] or [""])
    ):
        raise NAME_INVALID.error()
    return name


def _reference(kind: Kind, segment: str) -> Reference:
    text = _COLON.sub(":", segment)
    return parse_reference(text) if kind is Kind.MANIFEST else Digest.parse(text)
