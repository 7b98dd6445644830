"""``docxy check``: everything that a pull needs, looked at once."""

import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.cli import check as check_module
from docxy.cli import listeners, machine
from docxy.cli.check import LIMIT, check, make_probe
from docxy.cli.findings import Finding, Mark
from docxy.settings.reader import read
from docxy.settings.values import Settings, SettingsError
from tests.unit.cli.test_listeners import at_once
from tests.unit.tls.throwaway import Wish, intermediate, issue, write


def broken() -> Settings:
    """Settings that cannot be read."""
    raise SettingsError("server.x", "is unknown", "remove it")


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class CheckTests(SynchronousTestCase):
    """What ends a check early, and what an upstream is tried with; the rest is tried end to end."""

    def test_settings(self) -> None:
        """Of settings that cannot be read the reason is all that is found."""
        (found,) = self.successResultOf(Deferred.fromCoroutine(check(MemoryReactorClock(), broken)))
        self.assertEqual((found.mark, found.check, found.subject), (Mark.FAILED, "settings", "server.x"))
        self.assertEqual((found.text, found.remedy), ("is unknown", "remove it"))

    def test_image(self) -> None:
        """An image of no upstream is refused before anything is asked."""
        looking = check(MemoryReactorClock(), lambda: read({}), ["quay.io/a/b"])
        self.failureResultOf(Deferred.fromCoroutine(looking), SettingsError)

    def test_ways(self) -> None:
        """Each URL of an upstream is asked alone, the registry last."""
        urls = ["https://near.example", "https://registry-1.docker.io"]
        settings = read({"upstream": [{"name": "docker.io", "url": urls}]})
        probe = make_probe(MemoryReactorClock(), settings, settings.upstreams[0], None)
        self.assertEqual(list(probe.ways), urls)

    def test_trust(self) -> None:
        """A trust root that cannot be read is refused under its setting."""
        settings = read({"upstream": [{"name": "docker.io", "ca": "/nowhere/ca.pem"}]})
        error = self.assertRaises(
            SettingsError, make_probe, MemoryReactorClock(), settings, settings.upstreams[0], None
        )
        self.assertEqual(error.key, "upstream[docker.io].ca")


class WholeTests(SynchronousTestCase):
    """A whole check in memory: this machine, and an upstream that does not answer."""

    def setUp(self) -> None:
        for module in (listeners, machine):
            self.patch(module, "in_thread", at_once)
        self.reactor = MemoryReactorClock()
        self.port = free_port()

    def settings(self, **tables: Any) -> Settings:
        """Settings with a listener that is free."""
        server = {
            "listen": [f"tcp:{self.port}:interface=127.0.0.1"],
            "redirect": [],
            **tables.pop("server", {}),
        }
        return read(
            {"server": server, "upstream": [{"name": "a.example", "url": "https://192.0.2.1"}], **tables}
        )

    def found(self, settings: Settings, user: str | None = None) -> list[Finding]:
        """All findings, once every wait is over."""
        looking = Deferred.fromCoroutine(check(self.reactor, lambda: settings, user=user))
        self.assertNoResult(looking)
        self.reactor.advance(LIMIT)
        return self.successResultOf(looking)

    def test_silent_upstream(self) -> None:
        """What is here is told first; an upstream is waited for no longer than its limit."""
        found = self.found(self.settings(server={"public_url": ["http://127.0.0.1"]}))
        checks = ["settings", "listener", "name", "library", "trust roots", "upstream"]
        self.assertEqual(list(dict.fromkeys(one.check for one in found)), checks)
        last = found[-1]
        self.assertEqual((last.mark, "curl -v https://192.0.2.1/v2/" in last.remedy), (Mark.FAILED, True))

    def test_trust(self) -> None:
        """A trust root that is gone since the settings were read keeps that upstream from being asked."""
        upstream = {"name": "a.example", "url": "https://192.0.2.1", "ca": "/nowhere/ca.pem"}
        looking = check(self.reactor, lambda: self.settings(upstream=[upstream]))
        *_, last = self.successResultOf(Deferred.fromCoroutine(looking))
        self.assertEqual((last.mark, last.subject), (Mark.FAILED, "upstream[a.example].ca"))

    def test_certificate(self) -> None:
        """A certificate that cannot serve is told, and the listeners that need it are not tried."""
        tls = {"cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}
        found = self.found(self.settings(server={"listen": ["ssl:443"]}, tls=tls))
        self.assertEqual([one.subject for one in found if one.check == "certificate"], ["tls.cert"])
        self.assertNotIn("listener", {one.check for one in found})

    def test_files(self) -> None:
        """What the service's user cannot read is told."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        upstream = {"name": "a.example", "url": "https://192.0.2.1", "ca": "/nowhere/ca.pem"}
        looking = check(self.reactor, lambda: self.settings(upstream=[upstream]), user=me)
        found = self.successResultOf(Deferred.fromCoroutine(looking))
        self.assertIn(("files", "/nowhere/ca.pem"), {(one.check, one.subject) for one in found})

    def test_certified_name(self) -> None:
        """Without a public URL the certificate's names are looked up."""
        with TemporaryDirectory() as folder:
            issued = issue(Wish("localhost", names=("localhost",), days=(-1, 30)), intermediate())
            cert = write(Path(folder) / "cert.pem", [issued.pem, intermediate().pem])
            tls = {"cert": cert, "key": write(Path(folder) / "key.pem", issued.key_pem())}
            found = self.found(
                self.settings(server={"listen": [f"ssl:{self.port}:interface=127.0.0.1"]}, tls=tls)
            )
        self.assertEqual([one.subject for one in found if one.check == "name"], ["localhost"])

    def test_obtained(self) -> None:
        """Where docxy obtains its certificate, what belongs to that is told, the authority last."""
        asked: list[Callable[[], list[Finding]]] = []

        def later(_: object, work: Callable[[], list[Finding]]) -> Deferred[list[Finding]]:
            asked.append(work)
            return Deferred()

        self.patch(check_module, "in_thread", later)
        with TemporaryDirectory() as folder:
            wanted = {"domains": ["127.0.0.1"], "agree_tos": True, "state": folder}
            wanted["directory"] = "https://127.0.0.1:1/directory"
            settings = self.settings(acme=wanted, server={"listen": [f"ssl:{self.port}:interface=127.0.0.1"]})
            found = [one for one in self.found(settings) if one.check == "acme"]
            self.assertEqual(
                [one.subject for one in found],
                ["state", "account", "certificate", "proofs", "https://127.0.0.1:1/directory"],
            )
            self.assertEqual((found[-1].mark, found[-1].text), (Mark.FAILED, "no answer within 45 s"))
            self.patch(check_module, "in_thread", lambda _, work: succeed(work()))
            found = [one for one in self.found(settings) if one.check == "acme"]
            self.assertIn("the authority cannot be met", found[-1].text)
        self.assertEqual(len(asked), 1)
