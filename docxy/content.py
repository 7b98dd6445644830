"""
What an upstream's good answer becomes: manifests, blobs and lists.

Owns which answers fit a request, the arithmetic of ranges, the check of
manifests and the choice of what is verified.  Takes answers and makes answers; asks nobody.
"""

from __future__ import annotations

from docxy.answers import Answer, Caller, Stream
from docxy.interfaces import HeaderLines, Reply, Span, UpstreamBroken
from docxy.oci.errors import RANGE_INVALID, RegistryError
from docxy.oci.headers import Answer as HeaderKind
from docxy.oci.headers import request_to_upstream, response_to_client
from docxy.oci.names import Digest
from docxy.oci.ranges import ByteRange, ContentRange, parse_content_range, parse_range, resolve
from docxy.oci.routes import Kind, Route
from docxy.oci.verify import DigestMismatch, Verifier
from docxy.policy.addressing import Target
from docxy.settings.values import UpstreamSettings

_KINDS: dict[Kind, HeaderKind] = {Kind.MANIFEST: "manifest", Kind.BLOB: "blob"}
_CONDITIONS = (b"if-none-match", b"if-modified-since")
_RANGES = (b"Range", b"If-Range")
_DIGEST = b"Docker-Content-Digest"


def request_target(route: Route, target: Target) -> bytes:
    """Path and query as upstream spells them, made of parsed pieces only."""
    name = str(target.repository)
    path = {
        Kind.MANIFEST: f"/v2/{name}/manifests/{route.reference}",
        Kind.BLOB: f"/v2/{name}/blobs/{route.reference}",
        Kind.TAGS: f"/v2/{name}/tags/list",
        Kind.REFERRERS: f"/v2/{name}/referrers/{route.reference}",
        Kind.CATALOG: "/v2/_catalog",
    }[route.kind]
    query = b"?" + route.query if route.query else b""
    return path.encode("ascii") + query


def request_headers(route: Route, caller: Caller, authorization: bytes | None) -> list[tuple[bytes, bytes]]:
    """
    What a pull says to upstream.

    Only a blob's GET asks for ranges: those of manifests are cut here, a
    HEAD's mean nothing (RFC 9110 section 14.2), and lists have none.
    """
    headers = request_to_upstream(caller.headers, authorization=authorization)
    if _may_be_partial(route, caller):
        return headers
    return [line for line in headers if line[0] not in _RANGES]


def part_headers(caller: Caller, authorization: bytes | None, wanted: ByteRange) -> list[tuple[bytes, bytes]]:
    """What a mending says to upstream: the client's words, but our own range and no conditions."""
    unwanted = (*_RANGES, b"If-None-Match", b"If-Modified-Since")
    headers = request_to_upstream(caller.headers, authorization=authorization)
    last = "" if wanted.last is None else wanted.last
    return [
        *(line for line in headers if line[0] not in unwanted),
        (b"Range", f"bytes={wanted.first}-{last}".encode("ascii")),
    ]


def fits(route: Route, caller: Caller, reply: Reply) -> bool:
    """Whether a good status can be meant for this request: 206 and 304 only where they were asked for."""
    if reply.status == 304:
        return any(caller.header(name) is not None for name in _CONDITIONS)
    if reply.status == 206:
        return _may_be_partial(route, caller) and _is_wanted_part(caller, reply)
    return reply.status == 200


def _is_wanted_part(caller: Caller, reply: Reply) -> bool:
    """Whether a 206 is of the bytes that were asked for: clients write it where they asked it to belong."""
    ranges = parse_range(caller.header(b"range") or "")
    if ranges is None or len(ranges) != 1:
        return ranges is not None
    part = _part(reply)
    if part is None or part.interval is None:
        return False
    if part.size is not None:
        return part.interval == resolve(ranges[0], part.size)
    return part.interval.first == ranges[0].first


def _may_be_partial(route: Route, caller: Caller) -> bool:
    return route.kind is Kind.BLOB and not caller.is_head


def not_modified(route: Route, reply: Reply) -> Answer:
    """The answer to a condition that the client set."""
    reply.body.drop()
    return Answer(304, tuple(_headers(route, reply)), None)


def head(route: Route, reply: Reply, length: int | None) -> Answer:
    """The answer to a HEAD, with the size that GET would have."""
    return Answer(reply.status, tuple(_headers(route, reply)), length)


def _headers(route: Route, reply: Reply) -> list[tuple[bytes, bytes]]:
    """
    Upstream's headers, with the digest that the client asked for; CDNs do not tell it.

    Clients fail at a digest that is none, and can do without.
    """
    headers = response_to_client(reply.headers, kind=_KINDS.get(route.kind, "list"))
    digest = route.reference if isinstance(route.reference, Digest) else _told_digest(reply)
    headers = [line for line in headers if line[0] != _DIGEST]
    if digest is not None and route.kind in _KINDS:
        headers.append((_DIGEST, str(digest).encode("ascii")))
    return headers


def total_size(reply: Reply) -> int | None:
    """The whole content's size, from the answer to a one-byte range or to a GET."""
    if reply.status in (206, 416):
        told = parse_content_range(reply.header(b"content-range") or "")
        return told.size if told else None
    return reply.length if reply.status == 200 else None


def manifest(route: Route, caller: Caller, reply: Reply, body: bytes) -> Answer:
    """
    A manifest, checked against its digest where that is known, cut to the client's range.

    Raises `UpstreamBroken` for one whose bytes are not what their digest says, and 416.
    """
    _check_manifest(route, reply, body)
    headers = _headers(route, reply)
    wanted = _single_range(caller) if _if_range_holds(caller, reply) else None
    if wanted is None:
        return Answer(reply.status, tuple(headers), len(body), body)
    interval = resolve(wanted, len(body))
    if interval is None:
        raise unsatisfiable(len(body))
    headers.append((b"Content-Range", str(ContentRange(interval, len(body))).encode("ascii")))
    return Answer(206, tuple(headers), interval.length, body[interval.first : interval.last + 1])


def _check_manifest(route: Route, reply: Reply, body: bytes) -> None:
    digest = route.reference if isinstance(route.reference, Digest) else _told_digest(reply)
    if digest is None or not digest.verifiable or _is_coded(reply):
        return
    verifier = Verifier(digest)
    verifier.feed(body)
    try:
        verifier.finish()
    except DigestMismatch as error:
        raise UpstreamBroken(f"it sent a broken manifest: {error}") from None


def _told_digest(reply: Reply) -> Digest | None:
    try:
        return Digest.parse(reply.header(b"docker-content-digest") or "")
    except RegistryError:
        return None


def _if_range_holds(caller: Caller, reply: Reply) -> bool:
    condition = caller.header(b"if-range")
    if condition is None:
        return True
    # Weak ones and dates do not hold: RFC 9110 section 13.1.5.
    return condition.startswith('"') and condition == reply.header(b"etag")


def _single_range(caller: Caller) -> ByteRange | None:
    ranges = parse_range(caller.header(b"range") or "")
    return ranges[0] if ranges is not None and len(ranges) == 1 else None


def is_tail(caller: Caller) -> bool:
    """Whether the client wants the content from a later byte on, as one does that resumes."""
    wanted = _single_range(caller)
    return wanted is not None and bool(wanted.first)


def unsatisfiable(size: int, message: str | None = None) -> RegistryError:
    """416 for a range of a content of ``size`` bytes, which it tells (RFC 9110 section 15.5.17)."""
    return RANGE_INVALID.error(message, headers=(("Content-Range", str(ContentRange(None, size))),))


def blob(route: Route, upstream: UpstreamSettings, caller: Caller, reply: Reply) -> Answer:
    """
    A blob's bytes: whole and verified, or the part that was asked for.

    A 200 to the client's own range becomes the 206 it asked for.  Raises 416.
    """
    headers = _headers(route, reply)
    if reply.status == 200:
        headers = [line for line in headers if line[0] != b"Content-Range"]
    wanted = _single_range(caller)
    if reply.status != 200 or wanted is None or reply.length is None or caller.header(b"if-range"):
        verifier = _verifier(route, upstream, reply) if _is_whole(caller, reply) else None
        stream = Stream(reply, _span(reply), _is_mendable(reply), verifier)
        return Answer(reply.status, tuple(headers), reply.length, stream)
    interval = resolve(wanted, reply.length)
    if interval is None:
        reply.body.drop()
        raise unsatisfiable(reply.length)
    headers.append((b"Content-Range", str(ContentRange(interval, reply.length)).encode("ascii")))
    whole = interval.length == reply.length
    verifier = _verifier(route, upstream, reply) if whole else None
    span = Span(interval.first, interval.last + 1, reply.length)
    return Answer(206, tuple(headers), interval.length, Stream(reply, span, _is_mendable(reply), verifier))


def _part(reply: Reply) -> ContentRange | None:
    """Which single part of the content a 206 is, where its length agrees."""
    told = parse_content_range(reply.header(b"content-range") or "") if reply.status == 206 else None
    if told is None or told.interval is None or reply.length not in (None, told.interval.length):
        return None
    return told


def _span(reply: Reply) -> Span:
    part = _part(reply)
    if part is None or part.interval is None:
        return Span(0, reply.length, reply.length if reply.status == 200 else None)
    return Span(part.interval.first, part.interval.last + 1, part.size)


def _is_mendable(reply: Reply) -> bool:
    """Whether offsets mean the stored bytes: not so in a multipart or coded answer."""
    return not _is_coded(reply) and (reply.status == 200 or _part(reply) is not None)


def _verifier(route: Route, upstream: UpstreamSettings, reply: Reply) -> Verifier | None:
    """A check of what will pass, where that is a whole blob as its digest means it."""
    digest = route.reference
    if not upstream.verify or not isinstance(digest, Digest) or not digest.verifiable:
        return None
    return None if _is_coded(reply) else Verifier(digest)


def _is_coded(reply: Reply) -> bool:
    """Whether the bytes are not those of the digest: a rude upstream's coding is the client's to undo."""
    return (reply.header(b"content-encoding") or "identity").strip().lower() != "identity"


def _is_whole(caller: Caller, reply: Reply) -> bool:
    """Whether an answer is of all bytes, or says so little that the digest has to tell."""
    if reply.status == 200:
        return True
    part = _part(reply)
    if part is None or part.interval is None or part.interval.first != 0:
        return False
    wanted = _single_range(caller)
    is_open = wanted is not None and wanted.last is None
    return part.interval.length == part.size or (part.size is None and is_open)


def streamed(caller: Caller, reply: Reply, headers: HeaderLines) -> Answer:
    """Upstream's body as it is; for a HEAD only what is told of it."""
    if caller.is_head:
        reply.body.drop()
        return Answer(reply.status, tuple(headers), reply.length)
    return Answer(reply.status, tuple(headers), reply.length, Stream(reply, Span(0, reply.length, None)))
