"""
An upstream that breaks for good, or answers oddly: the end is one that the client sees, and no byte is wrong.

What can be mended is the matter of test_matrix.py.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
from collections.abc import Iterator

import pytest

from .conftest import Start
from .rig import hub as places
from .rig.faulty import Asked, End, Faulty, Reply, Script
from .rig.hub import Hub
from .rig.mirror import Mirror, Plan, faulty, tls_listener
from .rig.namespace import Namespace
from .rig.processes import wait_until
from .rig.raw import Raw, request
from .rig.seed import MIB

BODY = random.Random("faults").randbytes(MIB)
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
BLOB = f"/v2/some/image/blobs/{DIGEST}"
HALF = len(BODY) // 2
MANIFEST = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
MANIFEST_HEADERS = (
    ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
    ("Docker-Content-Digest", "sha256:" + hashlib.sha256(MANIFEST).hexdigest()),
)


def open_to_all(script: Script) -> Script:
    """A registry that wants no token, and otherwise does as ``script`` says."""
    ping = Reply(200, [("Docker-Distribution-Api-Version", "registry/2.0")], b"{}")
    return lambda asked: ping if asked.target == "/v2/" else script(asked)


def ranged(asked: Asked) -> Reply:
    """The blob, or the part of it that is asked for."""
    first = asked.first_byte()
    if not first:
        return Reply(200, body=BODY)
    span = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
    return Reply(206, [("Content-Range", span)], BODY[first:])


@pytest.fixture(scope="module")
def odd(hub: Hub, start: Start) -> Mirror:
    """https://odd.test: a docxy before the upstream that breaks, with short patience."""
    limits = {"first_header": 6, "attempt": 2}
    listen = [tls_listener(places.ODD)]
    return start(Plan("odd", "https://odd.test", listen, faulty(hub, stall=2), limits=limits))


@pytest.fixture
def registry(hub: Hub, odd: Mirror) -> Iterator[Faulty]:
    """The upstream."""
    with Faulty(hub.namespace, hub.leaf, places.FAULTY, open_to_all(ranged)) as server:
        yield server


@pytest.fixture
def cdn(hub: Hub) -> Iterator[Faulty]:
    """Where it may redirect to; elsewhere.test is the same address, and not allowed."""
    with Faulty(hub.namespace, hub.leaf, places.FAULTY_CDN, ranged) as server:
        yield server


@pytest.fixture
def raw(hub: Hub, odd: Mirror, clients: Namespace) -> Iterator[Raw]:
    """A connection from the clients' network to the mirror."""
    with Raw(clients, hub.authority, places.ODD, "odd.test") as connection:
        yield connection


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("end", ["close", "reset", "hang"])
def test_half_a_body(registry: Faulty, raw: Raw, end: End, chunked: bool) -> None:
    """Where half a body comes and no more, the client sees a short one and an orderly end: no reset."""
    half = Reply(200, body=BODY, sent=HALF, end=end, chunked=chunked)
    registry.script = open_to_all(lambda asked: Reply(404) if asked.first_byte() else half)
    came = raw.get(BLOB)
    assert (came.status, came.ended) == (200, "short")
    assert BODY.startswith(came.body)
    assert raw.closed()


def test_wrong_bytes(registry: Faulty, raw: Raw) -> None:
    """A body that is not what its digest says never ends cleanly."""
    digest = "sha256:" + hashlib.sha256(b"another content").hexdigest()  # for it will be remembered
    came = raw.get(f"/v2/some/image/blobs/{digest}")
    assert came.ended == "short" or came.status >= 500


@pytest.mark.parametrize("status", [500, 502, 503])
def test_upstream_errors(registry: Faulty, raw: Raw, status: int) -> None:
    """An upstream that only ever fails is told as a failure of the server's side, as OCI JSON."""
    registry.script = open_to_all(lambda asked: Reply(status, body=b"<html>sorry</html>"))
    came = raw.get(BLOB)
    assert came.status >= 500
    assert came.errors()


def test_silent(registry: Faulty, raw: Raw) -> None:
    """An upstream that never answers is given up within the limit, as OCI JSON."""
    registry.script = open_to_all(lambda asked: Reply(0, end="hang"))
    came = raw.get(BLOB)
    assert came.status == 504
    assert came.errors()


def test_nobody_there(raw: Raw) -> None:
    """An upstream that refuses connections is told as OCI JSON."""
    came = raw.get(BLOB)
    assert came.status in (502, 503, 504)
    assert came.errors()


@pytest.mark.parametrize(
    "location",
    [
        "http://cdn.faulty.test/blob",
        "https://elsewhere.test/blob",
        "https://127.0.77.9/blob",
        "https://loopback.wild.test/blob",  # a wildcard allows the name and no private address
        "https://link-local.wild.test/blob",
        "ftp://cdn.faulty.test/blob",
        "//",
        "",
    ],
)
def test_bad_redirects(registry: Faulty, cdn: Faulty, raw: Raw, location: str) -> None:
    """A redirect to plain HTTP, to what is not allowed or to nowhere is not followed, nor asked for again."""
    headers = [("Location", location)] if location else []
    registry.script = open_to_all(lambda asked: Reply(307, headers))
    came = raw.get(BLOB)
    assert came.status == 502
    assert came.errors()
    assert not cdn.asked
    assert len([asked for asked in registry.asked if asked.target == BLOB]) == 1


@pytest.mark.parametrize("location", ["https://cdn.faulty.test:8443/blob", BLOB])
def test_lost_redirects(registry: Faulty, raw: Raw, location: str) -> None:
    """A redirect in circles or to where nobody listens ends after some tries."""
    registry.script = open_to_all(lambda asked: Reply(307, [("Location", location)]))
    came = raw.get(BLOB)
    assert came.status == 502
    assert came.errors()
    assert len(registry.asked) <= 8 * 3  # eight tries; each may ask twice more for another host


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_redirects(registry: Faulty, cdn: Faulty, raw: Raw, method: str) -> None:
    """Hops are followed with the same method and the query as it is, and without what is not for the CDN."""
    first = "https://cdn.faulty.test/a/b%2Fc?signature=x%2By+z~=="
    registry.script = open_to_all(lambda asked: Reply(307, [("Location", first)]))
    cdn.script = lambda asked: (
        ranged(asked) if "/d?" in asked.target else Reply(302, [("Location", "d?e=%41")])
    )
    came = raw.get(BLOB, "Authorization: Bearer secret", "Cookie: c=d", method=method)
    assert came.status == 200
    assert came.headers["content-length"] == str(len(BODY))
    assert came.headers["docker-content-digest"] == DIGEST
    assert "location" not in came.headers
    assert [asked.target for asked in cdn.asked] == ["/a/b%2Fc?signature=x%2By+z~==", "/a/d?e=%41"]
    for asked in cdn.asked:
        assert asked.method == method
        assert asked.header("host") == "cdn.faulty.test"
        assert asked.header("authorization") == asked.header("cookie") == ""


def test_redirected_manifest(registry: Faulty, cdn: Faulty, raw: Raw) -> None:
    """Manifests are redirected too, by some registries."""
    target = [("Location", "https://cdn.faulty.test/v2/other/path/manifests/1")]
    registry.script = open_to_all(lambda asked: Reply(307, target))
    cdn.script = lambda asked: Reply(200, MANIFEST_HEADERS, MANIFEST)
    came = raw.get("/v2/some/image/manifests/1", "Accept: application/vnd.oci.image.manifest.v1+json")
    assert (came.status, came.body) == (200, MANIFEST)
    assert came.headers["docker-content-digest"] == MANIFEST_HEADERS[1][1]


def test_expired_redirect(registry: Faulty, cdn: Faulty, raw: Raw) -> None:
    """A CDN's 403 sends docxy back to the registry once for a new URL."""
    target = [("Location", "https://cdn.faulty.test/blob")]
    registry.script = open_to_all(lambda asked: Reply(307, target))
    cdn.script = lambda asked: Reply(403, body=b"<Error/>") if len(cdn.asked) == 1 else ranged(asked)
    came = raw.get(BLOB)
    assert (came.status, came.body) == (200, BODY)


def test_refusing_cdn(registry: Faulty, cdn: Faulty, raw: Raw) -> None:
    """A CDN that goes on refusing is 502 as OCI JSON, not its own page."""
    registry.script = open_to_all(lambda asked: Reply(307, [("Location", "https://cdn.faulty.test/blob")]))
    cdn.script = lambda asked: Reply(403, [("Content-Type", "application/xml")], b"<Error/>")
    came = raw.get(BLOB)
    assert came.status == 502
    assert came.errors()
    assert len(cdn.asked) <= 3


def test_ranges(registry: Faulty, cdn: Faulty, raw: Raw) -> None:
    """A range goes through the redirect, and 206 with its Content-Range comes back as it is."""
    registry.script = open_to_all(lambda asked: Reply(307, [("Location", "https://cdn.faulty.test/blob")]))
    came = raw.get(BLOB, "Range: bytes=5-")
    assert came.status == 206
    assert came.headers["content-range"] == f"bytes 5-{len(BODY) - 1}/{len(BODY)}"
    assert came.body == BODY[5:]
    assert cdn.asked[-1].header("range") == "bytes=5-"


def test_multipart(registry: Faulty, raw: Raw) -> None:
    """Several ranges come as the multipart body that the upstream made."""
    body = b"--x\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--x--\r\n"
    kind = "multipart/byteranges; boundary=x"
    registry.script = open_to_all(lambda asked: Reply(206, [("Content-Type", kind)], body))
    came = raw.get(BLOB, "Range: bytes=0-0,5-6")
    assert (came.status, came.headers["content-type"], came.body) == (206, kind, body)
    assert registry.asked[-1].header("range") == "bytes=0-0,5-6"


def test_unsatisfiable(registry: Faulty, raw: Raw) -> None:
    """416 is relayed with the size that it tells."""
    registry.script = open_to_all(lambda asked: Reply(416, [("Content-Range", f"bytes */{len(BODY)}")]))
    came = raw.get(BLOB, f"Range: bytes={len(BODY)}-")
    assert came.status == 416
    assert came.headers["content-range"] == f"bytes */{len(BODY)}"


def test_reader_of_one_chunk(registry: Faulty, raw: Raw) -> None:
    """An open-ended range that the client leaves after one chunk is left upstream as well."""
    large = BODY * 64
    registry.script = open_to_all(
        lambda asked: Reply(206, [("Content-Range", f"bytes 1-{len(large)}/{len(large) + 1}")], large)
    )
    answer = raw.begin(BLOB, "Range: bytes=1-")
    assert answer.read(65536)
    raw.leave()
    wait_until(lambda: not registry.open, "the upstream's connection to be left", 5)


def test_rude_encoding(registry: Faulty, raw: Raw) -> None:
    """The upstream is asked for no coding; where it codes all the same, bytes and header stay."""
    registry.script = open_to_all(
        lambda asked: Reply(200, [*MANIFEST_HEADERS, ("Content-Encoding", "gzip")], MANIFEST)
    )
    came = raw.get("/v2/some/image/manifests/1", "Accept-Encoding: gzip, zstd")
    assert came.headers["content-encoding"] == "gzip"
    assert came.body == MANIFEST
    assert registry.asked[-1].header("accept-encoding") == "identity"


def test_accept_lines(registry: Faulty, raw: Raw) -> None:
    """All Accept lines reach the upstream; what says who or whence the client is does not."""
    registry.script = open_to_all(lambda asked: Reply(200, MANIFEST_HEADERS, MANIFEST))
    lines = ["Accept: a/one", "Accept: a/two, a/three", "Accept: a/four"]
    private = [
        "X-Forwarded-For: 192.0.2.1",
        "Cookie: a=b",
        "Traceparent: 00-1-2-03",
        "Forwarded: for=192.0.2.1",
    ]
    raw.get("/v2/some/image/manifests/1", *lines, *private)
    asked = registry.asked[-1]
    assert [part.strip() for part in asked.header("accept").split(",")] == [
        "a/one",
        "a/two",
        "a/three",
        "a/four",
    ]
    assert asked.header("host") == "faulty.test"
    for name in ("x-forwarded-for", "cookie", "traceparent", "forwarded", "x-real-ip"):
        assert asked.header(name) == ""


def test_too_many_requests(registry: Faulty, raw: Raw) -> None:
    """429 is relayed with a Retry-After that nobody sleeps on for long."""
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
    registry.script = open_to_all(lambda asked: Reply(429, [("Retry-After", "3600")], body))
    came = raw.get("/v2/some/image/manifests/limited")
    assert came.status == 429
    assert 0 < int(came.headers["retry-after"]) <= 60
    assert came.errors()[0]["code"] == "TOOMANYREQUESTS"


def test_limit_remembered(hub: Hub, start: Start, clients: Namespace) -> None:
    """Where docxy itself is the one that is limited, the next request does not reach the upstream."""
    start(Plan("own", "https://own.test", [tls_listener(places.OWN)], faulty(hub, auth="own")))
    with (
        Faulty(hub.namespace, hub.leaf, places.FAULTY) as registry,
        Raw(clients, hub.authority, places.OWN, "own.test") as raw,
    ):
        registry.script = open_to_all(lambda asked: Reply(429, [("Retry-After", "3600")]))
        assert raw.get("/v2/").status == 200
        assert raw.get("/v2/some/image/manifests/1").status == 429
        before = len(registry.asked)
        assert raw.get("/v2/some/image/manifests/2").status == 429
        assert len(registry.asked) == before


def test_links(registry: Faulty, raw: Raw) -> None:
    """The Link to the next page stays on the mirror, whatever form the upstream gave it."""
    for link in (
        "/v2/some/image/tags/list?last=b&n=2",
        "https://faulty.test/v2/some/image/tags/list?last=b&n=2",
    ):
        page = Reply(
            200, [("Link", f'<{link}>; rel="next"'), ("Content-Type", "application/json")], b'{"tags": []}'
        )
        registry.script = open_to_all(lambda asked, page=page: page)  # type: ignore[misc]
        came = raw.get("/v2/some/image/tags/list?n=2")
        assert came.status == 200
        target = came.headers["link"].partition(">")[0].removeprefix("<").removeprefix("https://odd.test")
        assert target.startswith("/v2/some/image/tags/list?")
        assert {"last=b", "n=2"} <= set(target.partition("?")[2].split("&"))


LEAVING: dict[str, Script] = {
    "no header": lambda asked: Reply(0, end="hang"),
    "half a body": lambda asked: Reply(200, body=BODY, sent=HALF, end="hang"),
    "mending": lambda asked: (
        Reply(0, end="hang") if asked.first_byte() else Reply(200, body=BODY, sent=HALF, end="close")
    ),
    "more than is read": lambda asked: Reply(200, body=BODY * 40),
}


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("state", LEAVING)
def test_leaving(registry: Faulty, raw: Raw, state: str, way: str) -> None:
    """A client may leave in order or not, and at any time: its upstream is left then, and not asked again."""
    registry.script = open_to_all(LEAVING[state])
    raw.send(request("GET", BLOB, raw.name))
    asked = 2 if state == "mending" else 1
    wait_until(lambda: len([one for one in registry.asked if one.target == BLOB]) == asked, "docxy to ask")
    if way == "reset":
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert not registry.is_left()
    raw.leave()
    wait_until(registry.is_left, "docxy to leave", 1)
    assert len([one for one in registry.asked if one.target == BLOB]) == asked
