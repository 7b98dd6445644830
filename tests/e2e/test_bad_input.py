"""
Requests that no client should send: each gets its status as OCI JSON, and the connection stays in order.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .rig import hub as places
from .rig.hub import Hub
from .rig.mirror import Mirror
from .rig.namespace import Namespace
from .rig.raw import Raw, request

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"
NOT_FOUND_OR_BAD = (400, 404)


@pytest.fixture
def raw(hub: Hub, mirror: Mirror, clients: Namespace) -> Iterator[Raw]:
    """A connection from the clients' network to the mirror."""
    with Raw(clients, hub.authority, places.MIRROR, "mirror.test") as connection:
        yield connection


@pytest.mark.parametrize(
    "target",
    [
        "/v2/library/alpine/manifests/..%2f..",
        "/v2/library/alpine/manifests/%2e%2e",
        f"/v2/a%2Fb/blobs/{DIGEST}",
        "/v2/A/manifests/x",
        "//v2/",
        "//v2//library/alpine/manifests/latest",
        "/v2//manifests/latest",
        "/v2/library/alpine/manifests/",
        "/v2/library/alpine/blobs/latest",
        f"/v2/library/alpine/blobs/sha256:{HEX.upper()}",
        f"/v2/library/alpine/blobs/sha256:{HEX[1:]}",
        f"/v2/{'a' * 300}/manifests/latest",
        f"/v2/library/alpine/manifests/{'t' * 129}",
        "/v2/foo/blobs/uploads/",
        "/v2/library/alpine/manifests/latest?ns=evil.example",
        "/v2/library/alpine/manifests/latest?ns=docker.io&ns=ghcr.io",
        "/v2/ghcr.io/org/app/manifests/v1?ns=docker.io",
        "/v2/nowhere.example/app/manifests/v1",
        "/v2/library/alpine/manifests/a%00b",
        "/v2/library/alpine/manifests/a%0d%0ab",
        "/v2/library/alpine/unknown/latest",
        "/auth//token",
        "/auth/%74oken",
        "/auth/evil.example/token",
        "/../etc/passwd",
        "/v2/../auth/token",
    ],
)
def test_paths(raw: Raw, target: str) -> None:
    """A path that is not exactly right is refused, and the next request on the connection is served."""
    came = raw.get(target)
    assert came.status in NOT_FOUND_OR_BAD
    assert came.errors()
    assert raw.get("/health").status == 200


def test_two_namespaces(raw: Raw) -> None:
    """Two values of ns are a contradiction, as are a prefix and another ns."""
    assert raw.get("/v2/library/alpine/manifests/latest?ns=docker.io&ns=ghcr.io").status == 400
    assert raw.get("/v2/ghcr.io/org/app/manifests/v1?ns=docker.io").status == 400
    assert raw.get("/v2/library/alpine/manifests/latest?ns=evil.example").status == 404


def test_legal_oddities(raw: Raw) -> None:
    """A repository may be called manifests, and /v2 without its slash still challenges."""
    assert raw.get("/v2/manifests/manifests/latest").status == 401
    assert raw.get("/v2").status == 401


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
@pytest.mark.parametrize(
    "target", ["/v2/library/alpine/manifests/latest", f"/v2/library/alpine/blobs/{DIGEST}"]
)
def test_methods(raw: Raw, method: str, target: str) -> None:
    """Nothing is ever written: other methods on known paths are refused with what is allowed."""
    came = raw.get(target, "Content-Length: 0", method=method)
    assert came.status == 405
    assert "GET" in came.headers["allow"]
    assert came.errors()


@pytest.mark.parametrize(
    "first",
    [
        "GET http://evil.example/v2/ HTTP/1.1\r\nHost: mirror.test",
        "GET /v2/ HTTP/9.9\r\nHost: mirror.test",
        "\x00\x01\x02",
        "GET",
        "GET /v2/ HTTP/1.1\r\nHost: mirror.test\r\nContent-Length: -1",
        "GET /v2/ HTTP/1.1\r\nHost: mirror.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "GET /v2/ HTTP/1.1\r\nHost: mirror.test\r\n folded: x",
        "GET /v2/ HTTP/1.1\r\nHost: mirror.test\r\nBad\x0bName: x",
    ],
)
def test_broken_heads(hub: Hub, mirror: Mirror, clients: Namespace, first: str) -> None:
    """A head that breaks HTTP's rules gets 400 or an orderly close, and no realm of another host."""
    with Raw(clients, hub.authority, places.MIRROR, "mirror.test") as raw:
        raw.send(first.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(raw.read_some, b""))
    assert not said or said.split()[1] in (b"400", b"401", b"404", b"505")
    assert said.count(b"HTTP/1.1 ") <= 1
    assert b"evil.example" not in said


@pytest.mark.parametrize("lines", [[], ["Host: mirror.test", "Host: evil.example"]], ids=["none", "two"])
def test_host_lines(raw: Raw, lines: list[str]) -> None:
    """A request without a Host, or with two, is refused (RFC 9112 section 3.2)."""
    raw.send("\r\n".join(["GET /v2/ HTTP/1.1", *lines, "", ""]).encode())
    assert raw.answer().status == 400


@pytest.mark.parametrize("kib", [15, 40])
def test_large_authorization(raw: Raw, kib: int) -> None:
    """A token of 15 or 40 KiB passes: the registry refuses it, not the mirror."""
    came = raw.get("/v2/library/alpine/manifests/latest", f"Authorization: Bearer {'t' * kib * 1024}")
    assert came.status == 401
    assert 'error="invalid_token"' in came.headers["www-authenticate"]


def test_too_large_head(raw: Raw) -> None:
    """Beyond 64 KiB of headers the answer is a clear one, or the connection is closed in order."""
    raw.send(request("GET", "/v2/", "mirror.test", f"X-Large: {'x' * 80 * 1024}"))
    said = raw.read_some()
    assert said == b"" or said.split()[1] in (b"400", b"431")


def test_body_on_get(raw: Raw) -> None:
    """A body on a GET is refused, and never becomes a second request."""
    raw.send(request("GET", "/v2/", "mirror.test", "Content-Length: 20") + b"GET /health HTTP/1.1")
    came = raw.answer()
    assert came.status in (400, 413)
    assert raw.closed()


def test_too_large_form(raw: Raw) -> None:
    """A form beyond 64 KiB is refused before it is read."""
    form = "Content-Type: application/x-www-form-urlencoded"
    raw.send(request("POST", "/auth/token", "mirror.test", form, "Content-Length: 10000000"))
    assert raw.answer("POST").status == 413


def test_pipelined(raw: Raw) -> None:
    """Requests that come at once are answered in order, each with its own."""
    targets = ["/v2/", "/health", "/v2/A/manifests/x", "/generate_204"]
    raw.send(b"".join(request("GET", target, "mirror.test") for target in targets))
    came = [raw.answer().status for _ in targets]
    assert came[2] in NOT_FOUND_OR_BAD
    assert [came[0], came[1], came[3]] == [401, 200, 204]


def test_endpoints(raw: Raw) -> None:
    """/health, /generate_204 and / answer, and what is nowhere is 404."""
    health = raw.get("/health")
    assert health.status == 200
    assert b'"status"' in health.body
    assert raw.get("/generate_204").status == 204
    assert raw.get("/").status == 200
    assert raw.get("/nowhere").status == 404


def test_no_traceback(mirror: Mirror) -> None:
    """None of this was an error of docxy's own."""
    assert "Traceback" not in mirror.said()
