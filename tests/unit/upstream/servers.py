"""
Servers in memory: sites that answer by a function, and servers whose bytes the test writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request


@dataclass(frozen=True)
class Seen:
    """One request as a server got it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    def header(self, name: str) -> str | None:
        """Every value of one header, joined; None where it was not sent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return " | ".join(values) if values else None


Answering = Callable[[Request, Seen], bytes | int]


class Page(Resource):
    """Answers every path of one origin by a function, and notes what was asked."""

    isLeaf = True

    def __init__(self, origin: str, seen: list[Seen], answering: Answering) -> None:
        super().__init__()
        self._origin = origin
        self._seen = seen
        self.answering = answering

    def render(self, request: Request) -> bytes | int:
        headers = tuple(
            (name.decode(), value.decode("latin-1"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        )
        content = request.content.read() if request.content else b""
        seen = Seen(request.method.decode(), self._origin + request.uri.decode(), headers, content)
        self._seen.append(seen)
        return self.answering(request, seen)


class Transport(FakeTransport):
    """One side of a connection, which notes how it was ended."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.stream.clear()
        super().abortConnection()


class RawServer(Protocol):
    """A server that says what the test says, in the test's own bytes."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True

    def say(self, data: bytes) -> None:
        """Send ``data`` when bytes move next."""
        assert self.transport is not None
        self.transport.write(data)

    def end(self) -> None:
        """Close after what was said."""
        assert self.transport is not None
        self.transport.loseConnection()


class RawFactory(Factory):
    """Keeps the connections that were made to a raw server."""

    def __init__(self) -> None:
        self.connections: list[RawServer] = []

    def buildProtocol(self, _: object) -> RawServer:
        self.connections.append(RawServer())
        return self.connections[-1]


class Answers:
    """A server's function made of a table: the path, or anything, to an answer."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table

    def __call__(self, request: Request, seen: Seen) -> bytes | int:
        path = request.path.decode()
        status, headers, body = self.table.get(path, (404, {}, b"nothing here"))
        request.setResponseCode(status)
        for name, value in headers.items():
            request.setHeader(name.encode(), value.encode())
        content: bytes = body
        return content


def reply(status: int, body: bytes = b"", **headers: str) -> Answering:
    """A server that gives every request the same answer; ``www_authenticate`` is a header's name."""
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}

    def answering(request: Request, seen: Seen) -> bytes:
        request.setResponseCode(status)
        for name, value in spelt.items():
            request.setHeader(name.encode(), value.encode())
        return body

    return answering


def silent(request: Request, seen: Seen) -> int:
    """A server that takes the request and says nothing."""
    return NOT_DONE_YET
