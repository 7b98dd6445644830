"""Starting a successor, and giving way to it."""

from __future__ import annotations

import json
import os
import sys

from twisted.internet.error import ProcessTerminated
from twisted.python.failure import Failure
from twisted.scripts._twistd_unix import UnixApplicationRunner
from twisted.trial.unittest import SynchronousTestCase

from docxy.handover import (
    PATIENCE,
    Command,
    Handover,
    NotHandedOver,
    reason_of,
    this_command,
)
from docxy.inheritance import READY, VARIABLE, WORD
from tests.unit.handover_rig import HandoverCase


class CommandTests(SynchronousTestCase):
    """How this process was started."""

    def test_twistd(self) -> None:
        """The interpreter with its options, the folder, and the pidfile by its full path."""
        self.patch(sys, "orig_argv", ["python", "-X", "dev", "/bin/twistd", "-n", "docxy"])
        for arguments, pidfile in (
            (["-n", "docxy"], f"{os.getcwd()}/twistd.pid"),
            (["--reactor=select", "--pidfile=/run/x.pid", "-y", "docxy.tac"], "/run/x.pid"),
            (["-n", "--pidfile=", "docxy"], ""),
        ):
            found = this_command(["/bin/twistd", *arguments])
            command = (sys.executable, "-X", "dev", "/bin/twistd", "-n", "docxy")
            self.assertEqual(found, Command(command, os.getcwd(), pidfile))

    def test_other(self) -> None:
        """Whatever else embeds the service is not started once more."""
        self.assertIsNone(this_command(["pytest", "tests/unit"]))
        self.assertIsNone(this_command(["pytest", "--version-of-another"]))


class HandoverTests(HandoverCase):
    """One try."""

    def setUp(self) -> None:
        """A successor that is under way."""
        super().setUp()
        self.patch(os, "environ", {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"})
        self.handover = Handover(
            self.reactor, self.command, [("tcp:5000", 77), ("unix:/x", 78)], self.notifier
        )
        self.done = self.handover.start()

    def failed(self) -> str:
        """Why there is no successor; everything is as it was."""
        reason = str(self.failureResultOf(self.done, NotHandedOver).value)
        self.assertEqual(self.files(), ["docxy.pid"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertIs(UnixApplicationRunner.removePID, self.remove_pid)
        return reason

    def test_spawned(self) -> None:
        """The same command in its folder, with the sockets, and without what systemd said to us."""
        [(executable, arguments, environ, folder, fds)] = self.reactor.spawned
        self.assertEqual((executable, arguments, folder), ("/bin/python", ("/bin/python", "-n"), "/start"))
        self.assertEqual(sorted(environ), [VARIABLE, "HOME", "NOTIFY_SOCKET"])
        told = {"from": os.getpid(), "listeners": ["tcp:5000", "unix:/x"]}
        self.assertEqual(json.loads(environ[VARIABLE]), told)
        self.assertEqual(fds | {WORD: 0}, {0: 0, 1: 1, 2: "r", READY: "r", WORD: 0, 5: 2, 6: 77, 7: 78})
        self.assertNotIn(VARIABLE, os.environ)
        self.handover.cancel("")
        self.failed()
        self.reactor.heard()

    def test_ready(self) -> None:
        """Once it is ready it is told to serve, and the pidfile is its own."""
        self.pidfile.write_text("12345")
        for part in (b"123", b"45\n"):
            self.assertNoResult(self.done)
            self.handover.childDataReceived(READY, part)
        self.assertEqual(self.successResultOf(self.done), 12345)
        self.assertEqual(os.read(self.reactor.words, 100), b"go")
        os.set_blocking(self.reactor.words, False)
        with self.assertRaises(BlockingIOError):  # as the end of the pipe would tell of this process's
            os.read(self.reactor.words, 100)
        os.close(self.reactor.words)
        self.assertEqual((self.files(), self.pidfile.read_text()), (["docxy.pid"], "12345"))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.handover.childDataReceived(READY, b"1\n")
        self.handover.cancel("too late")
        self.handover.processEnded(Failure(ProcessTerminated(1)))
        self.assertEqual(self.reactor.killed, [])

    def test_ended(self) -> None:
        """One that ends before it is ready says why."""
        self.handover.childDataReceived(2, b"docxy: server.x: is unk")
        self.handover.childDataReceived(2, b"nown; mend it\n")
        self.handover.processEnded(Failure(ProcessTerminated(1)))
        self.assertEqual(self.failed(), "server.x: is unknown; mend it")
        os.close(self.reactor.words)

    def test_died(self) -> None:
        """One that dies as it is told to serve is no successor."""
        os.close(self.reactor.words)
        self.handover.childDataReceived(READY, b"12345\n")
        self.assertNoResult(self.done)
        self.handover.processEnded(Failure(ProcessTerminated(1)))
        self.assertIn("exit code 1", self.failed())
        self.assertEqual(self.manager.heard(), ["MAINPID=12345", f"MAINPID={os.getpid()}"])

    def test_slow(self) -> None:
        """One that takes too long is ended, and told so in case it cannot be."""
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.failed(), "it was not ready after 60 s")
        self.assertEqual(self.reactor.heard(), b"no")
        self.handover.processEnded(Failure(ProcessTerminated(1)))

    def test_cancel(self) -> None:
        """One that is no longer wanted is ended."""
        self.handover.cancel("the end")
        self.assertEqual(self.failed(), "the end")
        self.assertEqual((self.reactor.heard(), self.reactor.killed), (b"no", ["KILL"]))
        self.handover.cancel("again")

    def test_gone(self) -> None:
        """One that has ended meanwhile needs no end."""
        os.close(self.reactor.words)
        self.reactor.is_gone = True
        self.handover.cancel("the end")
        self.assertEqual(self.failed(), "the end")


class RefusedTests(HandoverCase):
    """What cannot even begin."""

    def test_not_started(self) -> None:
        """Where no process can be started, the old one goes on."""
        self.reactor.refusal = OSError(11, "Resource temporarily unavailable")
        one = Handover(
            self.reactor, Command(("/bin/python",), os.getcwd(), str(self.pidfile)), [], self.notifier
        )
        reason = str(self.failureResultOf(one.start(), NotHandedOver).value)
        self.assertIn("cannot be started ([Errno 11] Resource", reason)
        self.assertEqual(self.files(), ["docxy.pid"])

    def test_pidfile(self) -> None:
        """A pidfile that may not be moved is told of."""
        self.aside.mkdir()
        reason = str(
            self.failureResultOf(Handover(self.reactor, self.command, [], self.notifier).start()).value
        )
        self.assertIn("the pidfile cannot be moved aside", reason)
        self.assertEqual(self.reactor.spawned, [])


class ReasonTests(SynchronousTestCase):
    """One line of what a process said."""

    def test_reason(self) -> None:
        """Our own line, else the last, else how it ended; never too much."""
        for said, reason in (
            (b"docxy: a: b; c\n\n", "a: b; c"),
            (b"warning\ndocxy: a: b; c\nmore\n", "a: b; c"),
            (b"Traceback:\n  line\nImportError: x\n", "ImportError: x"),
            (b" \n", "status"),
            (b"\xff\n", "\ufffd"),
            (b"x" * 1000, "x" * 500),
        ):
            self.assertEqual(reason_of(said, "status"), reason)
