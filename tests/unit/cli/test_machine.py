"""What can be looked at on this machine: certificates, listeners, names, libraries."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.cli import machine
from docxy.cli.findings import Finding, Mark
from docxy.settings.reader import read
from docxy.settings.values import Settings
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, leaf, write

DAY = timedelta(1)
TCP = "tcp:5000:interface=127.0.0.1"


def at_once(reactor: object, work: Callable[[str], Any], argument: str) -> Deferred[Any]:
    """In the place of a thread."""
    return succeed(work(argument))


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

    def listened(self, settings: Settings, reactor: Any = None) -> list[Finding]:
        """What is found of the listeners."""
        certificates = machine.certificates_of(settings, NOW)
        looking = machine.listener_findings(reactor or MemoryReactorClock(), settings, certificates)
        return self.successResultOf(Deferred.fromCoroutine(looking))


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


class ListenerTests(MachineCase):
    """Whether each listener can be opened."""

    def settings(self, listen: str, **tables: Any) -> Settings:
        """Settings with one listener."""
        return read({"server": {"listen": [listen], "redirect": []}, **tables})

    def free_port(self) -> int:
        """A port that nobody has."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])

    def test_free(self) -> None:
        """One that can be opened is closed again; the admin listener is looked at as well."""
        reactor = MemoryReactorClock()
        one, other = (f"tcp:{self.free_port()}:interface=127.0.0.1" for _ in "ab")
        found = self.listened(self.settings(one, admin={"listen": other}), reactor)
        self.assertEqual([(each.subject, each.text) for each in found], [(one, "free"), (other, "free")])
        self.assertEqual(len(reactor.tcpServers), 2)

    def answering(self, answer: bytes) -> str:
        """A listener's description, where somebody answers so."""
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            there, _ = server.accept()
            with there:
                there.recv(4096)
                there.sendall(answer)

        serving = Thread(target=serve)
        serving.start()
        self.addCleanup(server.close)
        self.addCleanup(serving.join)
        return f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"

    def test_ours(self) -> None:
        """One that docxy answers on is held by it."""
        listen = self.answering(b"HTTP/1.1 200 OK\r\nServer: docxy\r\n\r\n")
        (found,) = self.listened(self.settings(listen))
        self.assertEqual((found.mark, found.text), (Mark.OK, "held by the docxy that runs"))

    def test_taken(self) -> None:
        """One that somebody else has is wrong, with the way to find out who."""
        listen = self.answering(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n")
        (found,) = self.listened(self.settings(listen), Refusing(98))
        self.assertEqual((found.mark, found.text), (Mark.FAILED, "is taken by another process"))
        self.assertIn("ss -ltnp", found.remedy)

    def test_denied(self) -> None:
        """A privileged port cannot be judged by one who may not open it; root can."""
        listen = f"tcp:{self.free_port()}:interface=127.0.0.1"
        for user, mark in ((1000, Mark.WARNING), (0, Mark.FAILED)):
            self.patch(os, "geteuid", lambda user=user: user)
            (found,) = self.listened(self.settings(listen), Refusing(13))
            self.assertEqual(found.mark, mark)

    def test_systemd(self) -> None:
        """What systemd opens is not looked at."""
        (found,) = self.listened(self.settings("systemd:domain=INET:index=0"))
        self.assertEqual((found.mark, "systemd" in found.text), (Mark.OK, True))

    def test_malformed(self) -> None:
        """What is no endpoint is wrong."""
        (found,) = self.listened(self.settings("tcp:x"))
        self.assertEqual((found.mark, found.subject), (Mark.FAILED, "server.listen"))

    def test_unix(self) -> None:
        """A UNIX socket on which nobody listens is free."""
        reactor = MemoryReactorClock()
        (found,) = self.listened(self.settings(f"unix:{self.folder}/sock"), reactor)
        self.assertEqual((found.text, len(reactor.unixServers)), ("free", 1))


class Refusing(MemoryReactorClock):
    """A reactor that may open nothing, for this reason."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def listenTCP(self, *arguments: Any, **named: Any) -> Any:
        """Refuse."""
        raise CannotListenError("127.0.0.1", 1, OSError(self.number, "no"))


class NameTests(MachineCase):
    """Whether public names lead here."""

    def named(self, settings: Settings, *addresses: str) -> list[Finding]:
        """What is found of the names of these settings, which have these addresses."""

        def look_up(*_: object, **__: object) -> list[Any]:
            if not addresses:
                raise socket.gaierror(-2, "unknown")
            return [(0, 0, 0, "", (address, 0)) for address in addresses]

        self.patch(socket, "getaddrinfo", look_up)
        return self.successResultOf(Deferred.fromCoroutine(machine.name_findings(None, settings)))

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


class LibraryTests(MachineCase):
    """How old is what secures connections."""

    def test_openssl(self) -> None:
        """Half a year after its release it is to be renewed; what tells no date is only shown."""
        now = datetime(2026, 1, 1, tzinfo=UTC)
        for shown, mark, words in (
            ("OpenSSL 3.5.4 30 Sep 2025", Mark.OK, ": 93 days old, comes with docxy"),
            ("OpenSSL 3.0.1 14 Dec 2021", Mark.WARNING, ": 1479 days old, comes with docxy"),
            ("LibreSSL", Mark.OK, ""),
        ):
            found = machine.openssl(f"{shown}, built on: today", now, True)
            self.assertEqual((found.mark, found.text), (mark, f"{shown}, built on: today{words}"))
        self.assertIn("pip install --upgrade", machine.openssl("x 14 Dec 2021", now + DAY, True).remedy)

    def test_distribution(self) -> None:
        """What the system's packages renew is of no age: their fixes leave the version as it is."""
        found = machine.openssl("OpenSSL 3.0.1 14 Dec 2021", datetime.now(UTC), False)
        self.assertEqual((found.mark, "which its packages renew" in found.text), (Mark.OK, True))

    def test_bundled(self) -> None:
        """A module that names the shared library has it from the system; a wheel's names none."""
        (self.folder / "_rust.abi3.so").write_bytes(b"\x7fELF\0libc.so.6\0OpenSSL 3.5.4\0")
        (self.folder / "_rust.pyi").write_bytes(b"libcrypto.so.3")
        self.assertTrue(machine.is_bundled(self.folder))
        (self.folder / "_openssl.abi3.so").write_bytes(b"\x7fELF\0libssl.so.3\0libcrypto.so.3\0")
        self.assertFalse(machine.is_bundled(self.folder))

    def test_roots(self) -> None:
        """Without trust roots something is wrong; versions are told in any case."""
        for present, mark in ((True, Mark.OK), (False, Mark.FAILED)):
            self.patch(machine, "trust_roots_present", lambda present=present: present)
            *_, libraries, roots = machine.library_findings(datetime.now(UTC))
            self.assertIn("twisted 2", libraries.text)
            self.assertEqual(roots.mark, mark)

    def test_settings(self) -> None:
        """What is mirrored, where, and what docxy warns of at its start."""
        settings = read({"server": {"trusted_proxies": ["0.0.0.0/0"]}})
        first, second = machine.settings_findings(settings)
        self.assertEqual(first.text, f"mirrors docker.io on {TCP}")
        self.assertEqual((second.mark, second.subject), (Mark.WARNING, "server.trusted_proxies"))
