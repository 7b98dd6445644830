"""
A TLS server that answers as a test tells it, byte by byte where it must.

Owns its listening socket and threads.  It has no opinion on what a good
registry does: a test gives it a function from request to answer.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from .namespace import Namespace
from .pki import Leaf
from .processes import wait_until

End = Literal["keep", "close", "reset", "hang"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: names of headers are lower case, repeated ones in order."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """All values of a header, joined; empty where there is none."""
        return ", ".join(value for key, value in self.headers if key == name)

    def first_byte(self) -> int:
        """Where the range that it asks for begins; 0 without one."""
        asked = self.header("range")
        return int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0


@dataclass(frozen=True, slots=True)
class Reply:
    """
    An answer: all of ``body`` is announced, the first ``sent`` bytes of it are sent, and then comes ``end``.

    With ``chunked`` nothing is announced; the last chunk comes only with the end "keep".
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    sent: int | None = None
    end: End = "keep"
    chunked: bool = False

    def head(self) -> bytes:
        """Status line and headers."""
        length = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(len(self.body)))
        framing = [] if any(name.lower() == "content-length" for name, _ in self.headers) else [length]
        lines = [f"HTTP/1.1 {self.status} As-Told", *(f"{n}: {v}" for n, v in [*self.headers, *framing])]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def payload(self) -> bytes:
        """What is sent of the body."""
        part = self.body if self.sent is None else self.body[: self.sent]
        if not self.chunked:
            return part
        last = b"0\r\n\r\n" if self.end == "keep" else b""
        return (b"%x\r\n%s\r\n" % (len(part), part) if part else b"") + last


Script = Callable[[Asked], Reply]


@dataclass
class Faulty:
    """The server; ``script`` may be changed while it runs, ``asked`` is all that came."""

    namespace: Namespace
    leaf: Leaf
    address: str
    script: Script = lambda asked: Reply(404)
    asked: list[Asked] = field(default_factory=list)
    open: set[ssl.SSLSocket] = field(default_factory=set)
    _released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Faulty:
        self._tls = self.leaf.server_context()
        self._listener = self.namespace.listen(self.address, 443)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in list(self.open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        wait_until(lambda: not self.open, "the faulty server's connections to end")

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        raw.settimeout(60)
        secured = self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        self.open.add(secured)
        try:
            secured.do_handshake()
            while self._one(secured):
                pass
        except (OSError, ssl.SSLError):
            pass  # A peer that leaves is what some tests are about.
        finally:
            secured.close()
            self.open.discard(secured)

    def _one(self, secured: ssl.SSLSocket) -> bool:
        asked = _read(secured)
        if asked is None:
            return False
        self.asked.append(asked)
        reply = self.script(asked)
        if reply.status:
            secured.sendall(reply.head() + (b"" if asked.method == "HEAD" else reply.payload()))
        return self._end(secured, reply.end)

    def _end(self, secured: ssl.SSLSocket, end: End) -> bool:
        if end == "hang":
            self._released.wait(120)
        elif end == "reset":
            secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return end == "keep"


def _read(secured: ssl.SSLSocket) -> Asked | None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = secured.recv(65536)
        if not more:
            return None
        head += more
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return Asked(method, target, tuple((name.lower(), value.strip()) for name, _, value in pairs))
