"""What can be looked at on this machine: settings, certificates and names."""

import shutil
import socket
import tempfile
from pathlib import Path
from threading import Event, current_thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.thread import in_thread
from docxy.cli import machine
from docxy.cli.findings import Finding, Mark
from docxy.settings.reader import read
from docxy.settings.values import Settings
from tests.unit.cli.test_listeners import Threads, at_once
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, leaf, write


class MachineCase(SynchronousTestCase):
    """A folder, and no threads."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.patch(machine, "in_thread", at_once)

    def served(self, *names: str, days: tuple[float, float] = (-1, 30)) -> Settings:
        """Settings of a mirror with a certificate for these names."""
        issued = issue(Wish(names[0], names=names, days=days), intermediate()) if names else leaf()
        cert = write(self.folder / "cert.pem", [issued.pem, intermediate().pem])
        key = write(self.folder / "key.pem", issued.key_pem())
        server = {
            "listen": ["ssl:443:interface=127.0.0.1"],
            "redirect": [],
            "public_url": ["https://mirror.example.com"],
        }
        return read({"tls": {"cert": cert, "key": key}, "server": server})

    def certified(self, settings: Settings) -> list[Finding]:
        """What is found of the certificate."""
        certificates = machine.certificates_of(settings, NOW)
        return list(machine.certificate_findings(certificates, settings, NOW))


class CertificateTests(MachineCase):
    """The certificate."""

    def test_fine(self) -> None:
        """Names, chain and days are told."""
        (found,) = self.certified(self.served())
        self.assertEqual(found.mark, Mark.OK)
        self.assertRegex(found.text, r"\Amirror\.example\.com; 2 in the chain; ends [\d-]{10}, in 30 days\Z")

    def test_many_names(self) -> None:
        """Of many names only the first are shown."""
        names = ["mirror.example.com", *(f"{number}.example.com" for number in range(9))]
        self.assertIn("3.example.com and 5 more;", self.certified(self.served(*names))[0].text)

    def test_ends_soon(self) -> None:
        """Some time before its end it is a warning, in its last days it is wrong, by its life."""
        for days, mark in (
            ((-80, 10), Mark.WARNING),
            ((-88, 2), Mark.FAILED),
            ((-2, 4), Mark.OK),
            ((-5, 1), Mark.WARNING),
            ((-5.5, 0.5), Mark.FAILED),
        ):
            found = self.certified(self.served("mirror.example.com", days=days))[0]
            self.assertEqual((found.mark, bool(found.remedy)), (mark, mark is not Mark.OK), days)

    def test_other_name(self) -> None:
        """One that is not for the public URL is told so."""
        found = self.certified(self.served("other.example.com"))
        self.assertEqual((found[1].mark, found[1].subject), (Mark.WARNING, "server.public_url"))

    def test_changed_meanwhile(self) -> None:
        """Files that went while they were looked at are no traceback."""
        settings = self.served()
        certificates = machine.certificates_of(settings, NOW)
        (self.folder / "key.pem").unlink()
        found = list(machine.certificate_findings(certificates, settings, NOW))
        self.assertEqual((found[0].mark, found[0].subject), (Mark.FAILED, "tls.key"))


class NameTests(MachineCase):
    """Whether public names lead here."""

    def named(self, settings: Settings, *addresses: str, certified: tuple[str, ...] = ()) -> list[Finding]:
        """What is found of the names of these settings, which have these addresses."""

        def look_up(*_: object, **__: object) -> list[Any]:
            if not addresses:
                raise socket.gaierror(-2, "unknown")
            return [(0, 0, 0, "", (address, 0)) for address in addresses]

        self.patch(socket, "getaddrinfo", look_up)
        return self.successResultOf(
            Deferred.fromCoroutine(machine.name_findings(MemoryReactorClock(), settings, certified))
        )

    def public(self, url: str, *addresses: str) -> Finding:
        """What is found of the name of this public URL, which has these addresses."""
        (found,) = self.named(read({"server": {"public_url": [url]}}), *addresses)
        return found

    def test_here(self) -> None:
        """An address of this machine is right, whatever other ones there are."""
        found = self.public("https://a.example:8443", "127.0.0.1", "192.0.2.1")
        self.assertEqual((found.mark, found.subject), (Mark.OK, "a.example"))
        self.assertEqual(found.text, "leads to 127.0.0.1, 192.0.2.1")

    def test_elsewhere(self) -> None:
        """Other addresses alone are a warning: there may be a proxy."""
        self.assertEqual(self.public("https://a.example", "192.0.2.1", "2001:db8::1").mark, Mark.WARNING)

    def test_nowhere(self) -> None:
        """A name without an address is wrong."""
        found = self.public("https://a.example")
        self.assertEqual((found.mark, found.text), (Mark.FAILED, "does not resolve"))

    def test_loopback(self) -> None:
        """A name that is loopback's here, as Debian writes it, is another one's elsewhere."""
        found = self.public("https://a.example", "127.0.1.1")
        self.assertEqual(
            (found.mark, found.text), (Mark.WARNING, "leads to 127.0.1.1, on this machine alone")
        )
        self.assertIn("/etc/hosts", found.remedy)
        self.assertEqual(self.public("http://127.0.0.1:5000", "127.0.0.1").mark, Mark.OK)
        self.assertEqual(self.public("http://localhost:5000", "127.0.0.1", "::1").mark, Mark.OK)

    def test_to_be_proved(self) -> None:
        """A name that a certificate is to be obtained for must be found too; each name is told once."""
        wanted = {"domains": ["a.example", "b.example"], "agree_tos": True}
        found = self.named(read({"server": {"public_url": ["https://a.example"]}, "acme": wanted}))
        self.assertEqual([one.subject for one in found], ["a.example", "b.example"])
        self.assertEqual([one.remedy.split()[-1] for one in found], ["public_url", "acme.domains"])

    def test_hosts(self) -> None:
        """A host that selects an upstream must lead here, too."""
        upstream = {"name": "ghcr.io", "hosts": ["ghcr.a.example"]}
        (found,) = self.named(read({"upstream": [{"name": "docker.io"}, upstream]}))
        self.assertEqual((found.mark, found.subject), (Mark.FAILED, "ghcr.a.example"))
        self.assertTrue(found.remedy.endswith("or mend upstream[ghcr.io].hosts"))

    def test_certified(self) -> None:
        """Without a public URL those of the certificate are looked up, but no wildcards."""
        certified = ("a.example", "*.a.example")
        (found,) = self.named(read({}), certified=certified)
        self.assertEqual(
            (found.mark, found.subject, found.text), (Mark.WARNING, "a.example", "does not resolve")
        )
        (found,) = self.named(read({"server": {"public_url": ["https://b.example"]}}), certified=certified)
        self.assertEqual(found.subject, "b.example")

    def test_silent_resolver(self) -> None:
        """A resolver that does not answer is waited for no longer than its limit."""
        answered, daemons = Event(), []

        def look_up(name: str, *_: object, **__: object) -> list[Any]:
            if name == "b.example":
                return [(0, 0, 0, "", ("127.0.0.1", 0))]
            daemons.append(current_thread().daemon)
            answered.wait(30)
            raise socket.gaierror(-2, "unknown")

        self.patch(socket, "getaddrinfo", look_up)
        self.patch(machine, "in_thread", in_thread)
        reactor = Threads()
        settings = read({"server": {"public_url": ["https://a.example", "https://b.example"]}})
        looking = Deferred.fromCoroutine(machine.name_findings(reactor, settings))
        reactor.serve()
        reactor.advance(machine.LIMIT)
        first, second = self.successResultOf(looking)
        self.assertEqual(
            (first.subject, first.mark, first.text), ("a.example", Mark.FAILED, "no answer within 20 s")
        )
        self.assertIn("/etc/resolv.conf", first.remedy)
        self.assertEqual(second.text, "leads to 127.0.0.1, on this machine alone")
        self.assertEqual(daemons, [True])
        answered.set()
        reactor.serve()


class SettingsTests(SynchronousTestCase):
    """The settings."""

    def test_settings(self) -> None:
        """What is mirrored, where, and what docxy warns of at its start."""
        settings = read({"server": {"trusted_proxies": ["0.0.0.0/0"]}})
        first, second = machine.settings_findings(settings)
        self.assertEqual(first.text, "mirrors docker.io on tcp:5000:interface=127.0.0.1")
        self.assertEqual((second.mark, second.subject), (Mark.WARNING, "server.trusted_proxies"))
