"""The terminal of ``docxy top``."""

import io
import os
import pty
import select
import socket
import subprocess
import sys
import tempfile
import termios
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli import screen
from docxy.cli.screen import once, status_of, watch
from docxy.settings.values import SettingsError

STATUS = (
    b'{"versions": {"version": "1.0"}, "uptime": 1, "draining": false, "limits": {}, '
    b'"relays": [], "upstreams": [], "certificates": []}'
)
DOCXY = [sys.executable, "-c", "from docxy.cli import main; main()"]


class ScreenCase(SynchronousTestCase):
    """An admin listener for each test."""

    def admin(self, *contents: bytes, status: int = 200) -> str:
        """An admin listener that answers with these contents in turn, and then is gone."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()

        def serve() -> None:
            for number, content in enumerate(contents, 1):
                there, _ = server.accept()
                if number == len(contents):
                    server.close()
                head = f"HTTP/1.1 {status} X\r\nServer: docxy\r\nContent-Length: {len(content)}\r\n\r\n"
                with there:
                    there.recv(4096)
                    there.sendall(head.encode() + content)

        serving = Thread(target=serve)
        serving.start()
        self.addCleanup(serving.join)
        return f"unix:{path}"


class StatusTests(ScreenCase):
    """A status, and one view of it."""

    def test_status(self) -> None:
        """It is asked for at the admin listener."""
        self.assertEqual(status_of(self.admin(STATUS))["versions"], {"version": "1.0"})

    def test_not_ours(self) -> None:
        """Another's answer, or none, is told in one line under the listener's setting."""
        listeners = [
            self.admin(b"[]"),
            self.admin(b"{}"),
            self.admin(STATUS, status=404),
            self.admin(b"<html>"),
        ]
        for listener in (*listeners, "unix:/nowhere/sock", "tcp:1:x=1:x=2"):
            self.assertEqual(self.assertRaises(SettingsError, status_of, listener).key, "admin.listen")

    def test_once(self) -> None:
        """Where no terminal is, it is one view."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        once(self.admin(STATUS))
        self.assertTrue(out.getvalue().startswith("docxy 1.0  up 1s"))

    def test_other_version(self) -> None:
        """A status that lacks what is shown is another version's, and is told so."""
        error = self.assertRaises(SettingsError, once, self.admin(b'{"relays": []}'))
        self.assertIn("another version", error.problem)


class Keyboard:
    """The far end of a terminal: presses keys, and has what was drawn."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self._drawn = b""

    def press(self, key: bytes) -> None:
        """Press one key."""
        os.write(self.ours, key)

    def until(self, words: bytes) -> bytes:
        """What was drawn since the last time, to the end of ``words``."""
        while words not in self._drawn:
            self._drawn += os.read(self.ours, 4096)
        before, found, self._drawn = self._drawn.partition(words)
        return before + found

    def close(self) -> None:
        """Take it away."""
        os.close(self.ours)
        os.close(self.theirs)


class TerminalTests(ScreenCase):
    """A terminal, which is drawn upon."""

    def setUp(self) -> None:
        self.keyboard = Keyboard()
        self.addCleanup(self.keyboard.close)
        theirs = self.keyboard.theirs
        self.patch(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(theirs, closefd=False))))
        self.patch(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(io.FileIO(theirs, "w", closefd=False))))

    def watching(self, listener: str) -> Thread:
        """Watch in a thread, which has drawn once."""
        started = Thread(target=watch, args=(listener,))
        started.start()
        self.assertIn(b"\x1b[?1049h", self.keyboard.until(b"docxy 1.0  up 1s"))
        self.keyboard.until(b"q ends")
        return started

    def left(self) -> None:
        """The screen was left, and the terminal's mode is as before."""
        self.keyboard.until(b"\x1b[?25h\x1b[?1049l")
        self.assertEqual(termios.tcgetattr(self.keyboard.theirs), self.keyboard.before)

    def test_q(self) -> None:
        """q ends it, in either case."""
        for key in (b"q", b"Q"):
            watching = self.watching(self.admin(STATUS))
            self.keyboard.press(key)
            watching.join()
            self.left()

    def test_other_keys(self) -> None:
        """Any other key is a look."""
        self.patch(screen, "INTERVAL", 1000)
        watching = self.watching(self.admin(STATUS, STATUS))
        self.keyboard.press(b"x")
        self.keyboard.until(b"docxy 1.0  up 1s")
        self.keyboard.press(b"q")
        watching.join()
        self.left()

    def test_interrupted(self) -> None:
        """Ctrl-C leaves the screen as q does."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        self.patch(select, "select", interrupt)
        watch(self.admin(STATUS))
        self.left()

    def test_gone(self) -> None:
        """A docxy that is gone for a moment is waited for, and why is shown."""
        self.patch(screen, "INTERVAL", 0.01)
        watching = self.watching(self.admin(STATUS))
        self.keyboard.until(b"no status is to be had at unix:")
        self.keyboard.press(b"q")
        watching.join()
        self.left()

    def test_never_there(self) -> None:
        """One that is not there at first is an error, and the screen is not touched."""
        self.assertRaises(SettingsError, watch, "unix:/nowhere/sock")
        os.write(self.keyboard.theirs, b"untouched")
        self.assertEqual(self.keyboard.until(b"untouched"), b"untouched")

    def test_whole_command(self) -> None:
        """The command does so too."""
        theirs = self.keyboard.theirs
        command = [*DOCXY, "top", "--admin", self.admin(STATUS)]
        running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        self.keyboard.until(b"docxy 1.0  up 1s")
        self.keyboard.until(b"q ends")
        self.keyboard.press(b"q")
        self.assertEqual(running.wait(), 0)
        self.left()
