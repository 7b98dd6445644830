"""Tests for `docxy.usage.state`."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase

from docxy.usage.state import change


class StateTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        """A folder for it."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name) / "state.json"
        self.found: list[object] = []

    def change(self, content: object) -> None:
        """Write ``content``, and note what was there."""

        def made(old: object) -> object:
            self.found.append(old)
            return content

        change(str(self.path), made)

    def test_change(self) -> None:
        """Each change sees what the last one left; others on the machine may not read it."""
        for content in ({"a": 1}, [2]):
            self.change(content)
        self.assertEqual((self.found, self.path.read_text()), ([None, {"a": 1}], "[2]\n"))
        self.assertEqual(self.path.stat().st_mode & 0o007, 0)
        self.assertEqual(os.listdir(self.path.parent), ["state.json"])

    def test_strange(self) -> None:
        """What is no JSON counts as nothing, and is replaced."""
        for text in (b"", b"{", b"\xff", b"[" * 100_000):
            self.path.write_bytes(text)
            self.change(1)
        self.assertEqual((self.found, self.path.read_text()), ([None] * 4, "1\n"))

    def test_left_over(self) -> None:
        """What a killed process left half written is in nobody's way, and not followed as a link."""
        kept = self.path.parent / "kept"
        kept.write_text("kept")
        (self.path.parent / "state.json.new").symlink_to(kept)
        self.change(1)
        self.assertEqual((self.path.read_text(), kept.read_text()), ("1\n", "kept"))

    def test_failure(self) -> None:
        """A change that fails leaves the file as it was."""
        self.change({"a": 1})
        self.assertRaises(TypeError, self.change, object())
        self.assertEqual(self.path.read_text(), '{"a": 1}\n')

    def test_no_folder(self) -> None:
        """Without its folder it is an error."""
        self.path = self.path / "deeper"
        self.assertRaises(OSError, self.change, 1)

    def test_taken(self) -> None:
        """Nobody waits for another process that is at it."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        self.assertRaises(BlockingIOError, self.change, 1)
        self.assertEqual(self.found, [])

    def test_waits(self) -> None:
        """Who is to wait for the other process writes once that is done."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        order: list[str] = []

        def made(old: object) -> object:
            order.append("changed")
            return 1

        begun = Event()

        def work() -> None:
            begun.set()
            change(str(self.path), made, wait=True)

        thread = Thread(target=work)
        thread.start()
        begun.wait()
        order.append("done")
        os.close(folder)
        thread.join()
        self.assertEqual((order, self.path.read_text()), (["done", "changed"], "1\n"))
