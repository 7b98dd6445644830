"""The terminal of ``docxy top``."""

import os
import pty
import socket
import subprocess
import sys
import tempfile
import termios
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.screen import status_of
from docxy.settings.values import SettingsError

STATUS = (
    b'{"versions": {"version": "1.0"}, "uptime": 1, "draining": false, "limits": {}, '
    b'"relays": [], "upstreams": [], "certificates": []}'
)
DOCXY = [sys.executable, "-c", "from docxy.cli import main; main()"]


class ScreenTests(SynchronousTestCase):
    """A status, and a terminal that shows it."""

    def admin(self, content: bytes, status: int = 200, times: int = 1) -> str:
        """An admin listener that answers so, so many times."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        head = f"HTTP/1.1 {status} X\r\nServer: docxy\r\nContent-Length: {len(content)}\r\n\r\n".encode()

        def serve() -> None:
            for _ in range(times):
                there, _ = server.accept()
                with there:
                    there.recv(4096)
                    there.sendall(head + content)

        serving = Thread(target=serve)
        serving.start()
        self.addCleanup(server.close)
        self.addCleanup(serving.join)
        return f"unix:{path}"

    def test_status(self) -> None:
        """It is asked for at the admin listener."""
        self.assertEqual(status_of(self.admin(STATUS))["versions"], {"version": "1.0"})

    def test_not_ours(self) -> None:
        """Another's answer, or none, is told in one line under the listener's setting."""
        listeners = [self.admin(b"[]"), self.admin(b"{}"), self.admin(STATUS, 404), self.admin(b"<html>")]
        for listener in (*listeners, "unix:/nowhere/sock", "tcp:1:x=1:x=2"):
            self.assertEqual(self.assertRaises(SettingsError, status_of, listener).key, "admin.listen")

    def test_once(self) -> None:
        """`--once` prints one view and leaves."""
        done = subprocess.run([*DOCXY, "top", "--once", "--admin", self.admin(STATUS)], capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout.startswith(b"docxy 1.0  up 1s"))

    def test_not_set(self) -> None:
        """Without an admin listener the way to one is told."""
        environment = {key: text for key, text in os.environ.items() if not key.startswith("DOCXY_")}
        with tempfile.NamedTemporaryFile(suffix=".toml") as empty:
            command = [*DOCXY, "top", "--config", empty.name]
            done = subprocess.run(command, capture_output=True, env=environment)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"docxy: admin.listen: is not set", done.stderr)

    def test_terminal(self) -> None:
        """On a terminal it draws on a screen of its own until q, and leaves the terminal as it was."""
        ours, theirs = pty.openpty()
        before = termios.tcgetattr(theirs)
        command = [*DOCXY, "top", "--admin", self.admin(STATUS)]
        running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        shown = b""
        while b"q ends" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"q")
        self.assertEqual(running.wait(), 0)
        self.assertEqual(termios.tcgetattr(theirs), before)
        while not shown.endswith(b"\x1b[?25h\x1b[?1049l"):
            shown += os.read(ours, 4096)
        os.close(ours)
        os.close(theirs)
        self.assertTrue(shown.startswith(b"\x1b[?1049h"))
        self.assertIn(b"docxy 1.0  up 1s", shown)
