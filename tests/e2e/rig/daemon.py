"""
A docxy on loopback, started in each of the ways that twistd has, and an upstream for it.

Owns the settings file, the process, its output and its exit status.  Needs no
rights and no network but loopback.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from .mirror import CHECKOUT, TWISTD
from .pki import Authority, Leaf
from .processes import RigError, environment, wait_until
from .waiting import Waiting

Way = Literal["foreground", "daemon", "tac"]
WAYS: tuple[Way, ...] = ("foreground", "daemon", "tac")

_SUBREAPER = 36  # prctl(2)

# What systemd does: the socket is descriptor 3, and the variables say so.
_INHERIT = """
import os, socket, sys
if sys.argv[1].isdigit():
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
else:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o600)
    listening.listen()
os.dup2(os.dup(listening.fileno()), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "docxy.socket"}
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def adopt_orphans() -> None:
    """Make daemons children of this process, so that it can learn how they end."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def tls_table(leaf: Leaf) -> str:
    """The settings' part on the certificate."""
    return f'[tls]\ncert = "{leaf.cert}"\nkey = "{leaf.key}"'


def one_line(said: str, key: str) -> None:
    """A start-up error: one line that names the setting, the problem and the remedy."""
    assert said.count("\n") == 1, said
    assert said.startswith(f"docxy: {key}"), said
    assert ": " in said[7:] and "; " in said, said


class Daemon:
    """
    One docxy and its folder.

    ``listen`` is its listener; ``table`` are further lines of its settings.
    Started by `start`; `failed` is for a start that must not succeed.
    """

    def __init__(self, folder: Path, way: Way = "foreground") -> None:
        self.folder = folder
        self.way = way
        self.port = free_port()
        self.config = folder / "docxy.toml"
        self.pidfile = folder / "docxy.pid"
        self.out = folder / "out"
        self.err = folder / "err"
        self.logfile = folder / "docxy.log"
        self.pid = 0
        self.code: int | None = None
        self._connections: list[http.client.HTTPConnection] = []

    def configure(self, listen: str | None = None, text: str = "", **server: Any) -> Daemon:
        """Write its settings."""
        listen = f"tcp:{self.port}:interface=127.0.0.1" if listen is None else listen
        values = {"listen": [listen], "redirect": [], **server}
        lines = ["[server]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), text]
        self.config.write_text("\n".join(lines) + "\n")
        return self

    def _command(self, twistd: Sequence[str], options: Sequence[str]) -> list[str]:
        command = [str(TWISTD), f"--pidfile={self.pidfile}", f"--rundir={self.folder}", *twistd]
        if self.way == "daemon":
            command.append(f"--logfile={self.logfile}")
        else:
            command.append("--nodaemon")
        if self.way == "tac":
            return [*command, "--python", str(CHECKOUT / "docxy.tac")]
        return [*command, "docxy", "--config", str(self.config), *options]

    def _spawn(
        self, twistd: Sequence[str], options: Sequence[str], more: Mapping[str, str], inherit: bool | Path
    ) -> subprocess.Popen[bytes]:
        env = environment(
            HOME=str(self.folder), PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", **more
        )
        if self.way == "tac":
            env["DOCXY_CONFIG"] = str(self.config)
        command = self._command(twistd, options)
        if inherit:
            command = [
                sys.executable,
                "-c",
                _INHERIT,
                str(self.port if inherit is True else inherit),
                *command,
            ]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            return subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def failed(self, *options: str, twistd: Sequence[str] = (), **more: str) -> str:
        """What it says to stderr when it does not start; raises `RigError` when it does."""
        started = self._spawn(twistd, options, more, False)
        try:
            code = started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            raise RigError(f"it started:\n{self.said()}") from None
        if code == 0:
            raise RigError(f"it started:\n{self.said()}")
        # A daemon's parent may go before the daemon has tidied up.
        wait_until(lambda: not self.pidfile.exists(), "the pid file to go")
        return self.err.read_text()

    def start(
        self, *options: str, twistd: Sequence[str] = (), inherit: bool | Path = False, **more: str
    ) -> Daemon:
        """Start it, on a socket at its port or at this path if it is to inherit one; wait until it runs."""
        started = self._spawn(twistd, options, more, inherit)
        if self.way == "daemon":
            if started.wait(30):
                raise RigError(self.said())
            self.pid = int(self.pidfile.read_text())
        else:
            self.pid = started.pid
        self._popen = started
        wait_until(lambda: self.ended() or ("docxy" in self._log() and self._runs()), "docxy to start")
        if self.code is not None:
            raise RigError(f"exit status {self.code}\n{self.said()}")
        return self

    def _runs(self) -> bool:
        """Whether its signals are its own: the kernel tells which ones a process catches."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
        return bool(caught & 1 << signal.SIGUSR2 - 1)

    def _log(self) -> str:
        return "docxy" if "--syslog" in Path(f"/proc/{self.pid}/cmdline").read_text() else self.said()

    def said(self) -> str:
        """All of its output and its log."""
        files = (self.out, self.err, self.logfile)
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has ended; then ``code`` is its exit status."""
        if self.code is None:
            if self.way == "daemon":
                # It becomes a child of this process when the one that started it has ended.
                with suppress(ChildProcessError):
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    self.code = os.waitstatus_to_exitcode(status) if pid else None
            else:
                self.code = self._popen.poll()
        return self.code is not None

    def wait(self, seconds: float = 20) -> int:
        """Its exit status, waited for."""
        wait_until(self.ended, f"docxy to end\n{self.said()[-2000:]}", seconds)
        assert self.code is not None
        return self.code

    def wait_said(self, text: str) -> None:
        """Wait until it has said this."""
        wait_until(lambda: text in self.said(), f"docxy to say {text!r}, not only\n{self.said()[-2000:]}")

    def close(self) -> None:
        """End it, and what its clients keep open."""
        for connection in self._connections:
            connection.close()
        if self.pid and not self.ended():
            self.signal(signal.SIGKILL)
            self.wait()

    # As its client

    def connect(
        self, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> http.client.HTTPConnection:
        """A connection to it, which ends with it at the latest."""
        if context is None:
            made = http.client.HTTPConnection(host, self.port, timeout=20)
        else:
            made = http.client.HTTPSConnection(host, self.port, timeout=20, context=context)
        self._connections.append(made)
        return made

    def status(self, path: str = "/health", **where: Any) -> int:
        """The status of its answer to a request."""
        connection = self.connect(**where)
        try:
            connection.request("GET", path)
            return int(connection.getresponse().status)
        finally:
            connection.close()

    def refuses(self) -> bool:
        """Whether it takes no connection."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return True
        return False


class Slow(Waiting):
    """A registry without tokens whose one blob comes in two halves, the second when `go` is set."""

    SIZE = 200_000

    def __init__(self) -> None:
        super().__init__(_Half)
        self.gone = threading.Event()

    @property
    def table(self) -> str:
        """What the settings say of it."""
        return f'[[upstream]]\nname = "slow.test"\nurl = "{self.url}"\nverify = false\n'


class _Half(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Slow

    def do_GET(self) -> None:
        """Half of it, and later the other."""
        size = 2 if self.path == "/v2/" else Slow.SIZE
        self.send_response(200)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        try:
            self.wfile.write(b"{}" if size == 2 else b"x" * (size // 2))
            if size > 2:
                self.server.go.wait(30)
                self.wfile.write(b"x" * (size // 2))
        except OSError:
            self.server.gone.set()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def shown(daemon: Daemon, authority: Authority) -> str:
    """The name of the certificate that is served."""
    with socket.create_connection(("127.0.0.1", daemon.port)) as plain:
        context = authority.client_context()
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            peer = connection.getpeercert() or {}
            return str(peer["subject"])
