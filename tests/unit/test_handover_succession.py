"""A service's place in the line."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.python.failure import Failure

from docxy import handover
from docxy.handover import GRACE, Handover, Succession
from docxy.inheritance import READY, Inheritance
from tests.unit.handover_rig import HandoverCase
from tests.unit.web.rig import Logged


class Port:
    """A listener whose socket has a number and no more."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.socket = SimpleNamespace(close=lambda: self.did.append("close"))

    def fileno(self) -> int:
        """Its socket."""
        return 77

    def stopReading(self) -> None:  # noqa: N802 Twisted's name
        """Note it."""
        self.did.append("stop")

    def startReading(self) -> None:  # noqa: N802 Twisted's name
        """Note it."""
        self.did.append("start")


class SuccessionTests(HandoverCase):
    """A service's place in the line."""

    def setUp(self) -> None:
        """A service with one listener, started by twistd."""
        super().setUp()
        self.logged = Logged(self)
        self.patch(handover, "this_command", lambda argv: self.command if argv else None)
        self.succession = Succession(self.reactor, Inheritance(), ["twistd"], self.notifier)
        self.port = Port()
        self.succession.add("tcp:5000", self.port)

    def said(self) -> list[str]:
        """What was logged."""
        return self.logged.said("docxy.handover")

    def test_prepared(self) -> None:
        """Before it may become another user's process its pidfile is one that this one can read."""
        self.pidfile.chmod(0o600)
        Succession(self.reactor, Inheritance(), [], self.notifier).prepare()
        self.assertEqual(self.pidfile.stat().st_mode & 0o777, 0o600)
        self.succession.prepare()
        self.assertEqual(self.pidfile.stat().st_mode & 0o777, 0o644)

    def test_handed_over(self) -> None:
        """Once the successor serves, nothing more is accepted, and the reactor stops."""
        self.succession.begin(lambda: "serving")
        self.succession.hand_over()
        self.assertEqual((self.port.did, self.succession.grace, self.succession.ended), ([], 0, False))
        self.handover.childDataReceived(READY, b"12345\n")
        self.assertEqual(self.port.did, ["stop", "close"])
        self.assertEqual((self.succession.ports, self.succession.grace), ([], GRACE))
        self.assertEqual((self.reactor.stops, self.succession.ended), (1, True))
        self.notifier.stopping()
        self.assertEqual(self.manager.heard(), ["MAINPID=12345"])
        self.succession.end()
        self.succession.hand_over()
        self.assertEqual(self.said()[:2], ["handing over", "handed over to process 12345"])
        self.assertIn("is under way", self.said()[2])
        self.assertEqual(self.reactor.heard(), b"go")

    def test_first(self) -> None:
        """A service that inherits nothing is ready once the reactor runs."""
        self.succession.begin(lambda: "serving")
        self.assertEqual(self.manager.heard(), [])
        [(hook, args, _)] = self.reactor.whenRunningHooks
        hook(*args)
        self.assertEqual(self.manager.heard(), ["READY=1\nSTATUS=serving"])

    @property
    def handover(self) -> Handover:
        """The try that is under way."""
        found = self.succession._handover
        assert found is not None
        return found

    def test_failed(self) -> None:
        """Where it fails, it goes on, says why, and may try again."""
        for tries in (1, 2):
            self.succession.hand_over()
            self.handover.processEnded(Failure(ProcessTerminated(1)))
            self.assertIn("not handed over: A process has ended", self.said()[-1])
            self.assertEqual(len(self.reactor.spawned), tries)
            os.close(self.reactor.words)
        self.assertEqual((self.port.did, self.reactor.stops), ([], 0))

    def test_refused(self) -> None:
        """Neither twice at a time, nor at the end, nor without twistd."""
        self.succession.hand_over()
        self.succession.hand_over()
        self.assertEqual((len(self.reactor.spawned), len(self.said())), (1, 2))
        self.succession.end()
        self.assertEqual(self.said()[-1], "not handed over: this process was told to end")
        self.succession.hand_over()
        self.assertIn("under way", self.said()[-1])
        Succession(self.reactor, Inheritance(), [], self.notifier).hand_over()
        self.assertIn("only twistd", self.said()[-1])
        self.assertEqual(self.reactor.heard(), b"no")

    def test_successor(self) -> None:
        """A successor accepts nothing until it is told to."""
        reported: list[tuple[Any, ...]] = []
        heir = Inheritance(handed=True)
        self.patch(heir, "report", lambda *args: reported.append(args))
        succession = Succession(self.reactor, heir, ["twistd"], self.notifier)
        succession.add("tcp:5000", self.port)
        succession.begin(lambda: "serving")
        self.assertEqual(self.port.did, ["stop"])
        [(hook, args, _)] = self.reactor.whenRunningHooks
        hook(*args)
        [(_, serve, leave)] = reported
        self.assertEqual(self.manager.heard(), [])
        serve()
        self.assertEqual(self.manager.heard(), ["READY=1\nSTATUS=serving"])
        self.assertEqual(self.port.did, ["stop", "start"])
        leave()
        self.assertEqual(self.port.did, ["stop", "start", "stop", "close"])
        self.assertEqual((succession.ports, self.reactor.stops), ([], 1))

    def test_successor_ended(self) -> None:
        """One that was told to end stops the reactor once, whatever the process before it says then."""
        heir = Inheritance(handed=True)
        reported: list[tuple[Any, ...]] = []
        self.patch(heir, "report", lambda *args: reported.append(args))
        succession = Succession(self.reactor, heir, ["twistd"], self.notifier)
        succession.begin(lambda: "serving")
        [(hook, args, _)] = self.reactor.whenRunningHooks
        hook(*args)
        succession.end()
        [(_, _, leave)] = reported
        leave()
        self.assertEqual(self.reactor.stops, 0)

    def test_process_before(self) -> None:
        """The end of the process before this one can be waited for, or not any more."""
        heir = Inheritance(handed=True)
        succession = Succession(self.reactor, heir, ["twistd"], self.notifier)
        waited: Deferred[None] = Deferred()
        self.patch(heir, "_draining", waited)
        self.assertIs(succession.alone(), waited)
        succession.wait_no_more()
        self.successResultOf(waited)
        self.successResultOf(succession.alone())
