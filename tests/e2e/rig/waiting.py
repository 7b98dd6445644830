"""
Servers in the place of an upstream, whose answers may stop in their middle until a test says so.

Owns their threads; what they answer is their own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Waiting(ThreadingHTTPServer):
    """One on loopback; an answer that waits goes on from ``go``."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, answers: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), answers)
        self.go = threading.Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Connections that docxy keeps end with its process."""


_Server = TypeVar("_Server", bound=Waiting)


@contextlib.contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Let it serve; at the end nobody waits any more."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.go.set()
        server.shutdown()
        server.server_close()
