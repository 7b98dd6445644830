"""
Bytes to a mirror and what comes back, for requests that no client would send.

Owns one TLS connection.  It tells a body that is whole from one that ends
short in order, and both from a reset.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from .namespace import Namespace
from .pki import Authority

Ended = Literal["whole", "short", "reset"]


class _Kept(io.BufferedReader):
    """A reader that an answer's end does not close."""

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Came:
    """One answer: names of headers are lower case; ``ended`` is how its body did."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: Ended

    def errors(self) -> list[dict[str, Any]]:
        """The errors of an OCI JSON body."""
        found = json.loads(self.body)["errors"]
        assert isinstance(found, list)
        assert found
        return found


def request(method: str, target: str, host: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


class Raw:
    """A connection to say anything on."""

    def __init__(self, namespace: Namespace, authority: Authority, address: str, name: str) -> None:
        self.name = name
        plain = namespace.connect(address, 443)
        self.socket = authority.client_context().wrap_socket(plain, server_hostname=name)
        self._reader = _Kept(socket.SocketIO(self.socket, "r"))

    def send(self, data: bytes) -> None:
        """Say this."""
        self.socket.sendall(data)

    def get(self, target: str, *headers: str, method: str = "GET") -> Came:
        """Ask for something in a proper way."""
        self.send(request(method, target, self.name, *headers))
        return self.answer(method)

    def begin(self, target: str, *headers: str) -> http.client.HTTPResponse:
        """Ask, and give back the answer with its body still to be read."""
        self.send(request("GET", target, self.name, *headers))
        answer = self._response("GET")
        answer.begin()
        return answer

    def answer(self, method: str = "GET") -> Came:
        """The next answer to its end."""
        with self._response(method) as answer:
            answer.begin()
            body, ended = _read(answer)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Came(answer.status, headers, body, ended)

    def _response(self, method: str) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]

    def makefile(self, mode: str) -> io.BufferedReader:
        """What is read from, for http.client; it outlives each answer, so that the next is not lost."""
        return self._reader

    def read_some(self) -> bytes:
        """What comes next, whatever it is; empty at an orderly end."""
        return self._reader.read1(65536)

    def closed(self) -> bool:
        """Whether the other end has closed in order, with nothing more to say."""
        try:
            return self.read_some() == b""
        except (ConnectionResetError, ssl.SSLError):
            return False

    def leave(self) -> None:
        """Go away at once."""
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.socket.close()


def _read(answer: http.client.HTTPResponse) -> tuple[bytes, Ended]:
    body = b""
    while True:
        try:
            part = answer.read1(65536)
        except http.client.IncompleteRead as short:
            return body + short.partial, "short"
        except (TimeoutError, ConnectionResetError):
            return body, "reset"
        if not part:
            return body, "whole" if not answer.length else "short"
        body += part
