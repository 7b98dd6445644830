"""
Processes that follow one another, and what goes on meanwhile: a registry, and clients that keep coming.

Owns no process of its own: `Daemon` does.
"""

from __future__ import annotations

import copy
import hashlib
import http.client
import re
import signal
import threading
from http.server import BaseHTTPRequestHandler

from .daemon import Daemon
from .processes import wait_until
from .waiting import Waiting

SMALL = b"small" * 10_000
LARGE = bytes(range(256)) * 40_000  # 10 MB: more than the kernels between hold


def path_of(content: bytes) -> str:
    """Where a client finds it."""
    return f"/v2/some/image/blobs/sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(Waiting):
    """Without tokens; the second half of the large blob waits for `go`."""

    def __init__(self) -> None:
        super().__init__(Blobs)

    @property
    def table(self) -> str:
        """What the settings say of it."""
        return f'[[upstream]]\nname = "slow.test"\nurl = "{self.url}"\nstall = 60\n'


class Blobs(BaseHTTPRequestHandler):
    """One client of `Registry`."""

    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        """Nothing but its two blobs."""
        content = next((blob for blob in (SMALL, LARGE) if path_of(blob) == self.path), b"{}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        if content is LARGE:
            self.server.go.wait(60)
        self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Line:
    """The processes that follow one another, each a `Daemon` of its own process id."""

    def __init__(self, first: Daemon) -> None:
        self.all = [first]

    @property
    def last(self) -> Daemon:
        """The one that serves."""
        return self.all[-1]

    def hand_over(self) -> Daemon:
        """Have the last one start its successor and give way; returns the old one."""
        old = self.last
        old.signal(signal.SIGUSR2)
        wait_until(lambda: len(self._told()) == len(self.all), "a handover", 60)
        new = copy.copy(old)
        # No child of this process but adopted by it, as daemons are.
        new.pid, new.way = int(self._told()[-1]), "daemon"
        self.all.append(new)
        return old

    def _told(self) -> list[str]:
        return re.findall(r"handed over to process (\d+)", self.last.said())

    def close(self) -> None:
        """End them, the oldest first: its successor is its child until then."""
        for daemon in self.all:
            daemon.close()


class Crowd:
    """Clients that come one after the other on new connections, until `leave`."""

    def __init__(self, port: int, threads: int = 4) -> None:
        self.served = 0
        self.failures: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._come, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _come(self) -> None:
        while not self._over.is_set():
            try:
                self._pull()
                self.served += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
            self._over.wait(0.01)

    def _pull(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path_of(SMALL))
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, SMALL)
        finally:
            connection.close()

    def wait_for_more(self) -> None:
        """Until some more were served."""
        enough = self.served + 20
        wait_until(lambda: self.served >= enough or bool(self.failures), "clients to be served", 60)

    def leave(self) -> None:
        """No more come; none may have had a problem."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert self.failures == []
