"""
A TLS server that answers as a test tells it, byte by byte where it must.

Owns its listening socket and threads, and counts what it sent.  It has no
opinion on what a good registry does: a test gives it a function from request
to answer.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from .namespace import Namespace
from .pki import Leaf
from .processes import wait_until

End = Literal["keep", "close", "reset", "reset at once", "hang"]
Greeting = Literal["tls", "close", "reset", "garbage"]
_PIECE = 1 << 18  # bytes given to the socket at once
_TCP_ESTABLISHED = 1  # the first byte of tcp_info
_BEATS = 20  # pieces a second of a body with a pace


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

    With ``chunked`` nothing is announced; the last chunk comes only with the end "keep".  ``unframed``
    announces nothing either: the close is the end.  ``pace`` is bytes a second, 0 for all at once.
    A reset comes when the peer's kernel has what was sent; "reset at once" takes with it what has not left.
    A ``status`` of 0 is no answer at all.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | memoryview = b""
    sent: int | None = None
    end: End = "keep"
    chunked: bool = False
    unframed: bool = False
    pace: int = 0

    def head(self) -> bytes:
        """Status line and headers."""
        framing = [] if any(name.lower() == "content-length" for name, _ in self.headers) else self._framing()
        lines = [f"HTTP/1.1 {self.status} As-Told", *(f"{n}: {v}" for n, v in [*self.headers, *framing])]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _framing(self) -> list[tuple[str, str]]:
        if self.unframed:
            return [("Connection", "close")]
        length = ("Content-Length", str(len(self.body)))
        return [("Transfer-Encoding", "chunked") if self.chunked else length]

    def payload(self) -> Iterator[bytes | memoryview]:
        """What is sent of the body, in pieces."""
        whole = memoryview(self.body)
        end = len(whole) if self.sent is None else min(self.sent, len(whole))
        step = max(self.pace // _BEATS, 1) if self.pace else _PIECE
        for first in range(0, end, step):
            part = whole[first : min(first + step, end)]
            yield b"%x\r\n%s\r\n" % (len(part), part) if self.chunked else part
        if self.chunked and self.end == "keep":
            yield b"0\r\n\r\n"


Script = Callable[[Asked], Reply]


@dataclass
class Faulty:
    """
    The server; ``script`` may be changed while it runs, ``asked`` is all that came.

    ``sent`` counts bytes of bodies, ``at_once`` the most answers that were on their way at one time.
    A ``greeting`` other than "tls" is what a new connection meets in place of a handshake.
    """

    namespace: Namespace
    leaf: Leaf
    address: str
    script: Script = lambda asked: Reply(404)
    greeting: Greeting = "tls"
    asked: list[Asked] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)
    met: int = 0  # connections
    sent: int = 0
    at_once: int = 0
    _sending: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)
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
            self.met += 1
            threading.Thread(target=self._meet, args=(raw,), daemon=True).start()

    def _meet(self, raw: socket.socket) -> None:
        raw.settimeout(60)
        if self.greeting == "tls":
            with raw, suppress(OSError):  # it may have left already
                raw.getpeername()  # where it has, a wrapped socket would be left open
                self._serve(self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False))
            return
        with raw, suppress(OSError):
            raw.recv(65536)
            if self.greeting == "garbage":
                raw.sendall(b"HTTP/1.0 400 This is no TLS\r\n\r\n")
            elif self.greeting == "reset":
                _reset(raw)

    def _serve(self, secured: ssl.SSLSocket) -> None:
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
            secured.sendall(reply.head())
            if asked.method != "HEAD":
                self._send(secured, reply)
        return self._end(secured, reply)

    def _send(self, secured: ssl.SSLSocket, reply: Reply) -> None:
        self._count(1, 0)
        try:
            begun = time.monotonic()
            for number, piece in enumerate(reply.payload(), 1):
                secured.sendall(piece)
                self._count(0, len(piece))
                if reply.pace:
                    self._released.wait(max(begun + number / _BEATS - time.monotonic(), 0))
        finally:
            self._count(-1, 0)

    def is_left(self) -> bool:
        """Whether the peers of all connections that are open here have ended them."""
        return all(_is_ended(connection) for connection in list(self.open))

    def _count(self, sending: int, sent: int) -> None:
        with self._counting:
            self._sending += sending
            self.sent += sent
            self.at_once = max(self.at_once, self._sending)

    def _end(self, secured: ssl.SSLSocket, reply: Reply) -> bool:
        if reply.end == "hang":
            self._released.wait(120)
        elif reply.end in ("reset", "reset at once"):
            if reply.end == "reset":
                _poll(lambda: not _unsent(secured))
            _reset(secured)
        elif reply.end == "close":
            _goodbye(secured)
        return reply.end == "keep" and not reply.unframed


def _goodbye(secured: ssl.SSLSocket) -> None:
    """TLS's own word for the end, without which newer clients call it a break."""
    select.select([], [secured], [], 20)
    secured.setblocking(False)
    with suppress(ssl.SSLError):
        secured.unwrap()


def _poll(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


def _unsent(connection: socket.socket) -> int:
    """Bytes that the peer's kernel does not have yet: a reset takes them with it."""
    left = bytearray(4)
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, left)
    return int.from_bytes(left, "little")


def _is_ended(connection: socket.socket) -> bool:
    """Whether the peer has sent a FIN or a reset."""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED
    except OSError:
        return True  # closed here, after that


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


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
