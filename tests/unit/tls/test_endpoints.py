"""
Tests for `docxy.tls.endpoints`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, quoteStringArgument
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.values import SettingsError
from docxy.tls.certificates import PairFiles
from docxy.tls.endpoints import (
    Malformed,
    is_tls,
    listen_error,
    parse_description,
    parse_listener,
    port_of,
)
from docxy.tls.shown import Certificates
from docxy.tls.sockets import DualStackEndpoint, FreshUnixEndpoint, Heir
from tests.unit.tls.listening import Callers, close
from tests.unit.tls.test_server import client_context
from tests.unit.tls.throwaway import NOW, intermediate, leaf, root, write
from tests.unit.tls.wire import HeardFactory, join, peer

quick = settings(derandomize=True, max_examples=80, deadline=None)

HOST = "mirror.example.com"


class ParseTests(SynchronousTestCase):
    def test_arguments(self) -> None:
        """Positional arguments get their names, backslashes protect colons, as in Twisted's strings."""
        for text, kind, arguments in [
            ("tcp:80", "tcp", {"port": "80"}),
            ("TCP:port=80", "tcp", {"port": "80"}),
            ("tcp:80:127.0.0.1:9", "tcp", {"port": "80", "interface": "127.0.0.1", "backlog": "9"}),
            (r"tcp:80:interface=\:\:1", "tcp", {"port": "80", "interface": "::1"}),
            ("ssl:443:k.pem:c.pem", "ssl", {"port": "443", "privateKey": "k.pem", "certKey": "c.pem"}),
            (r"unix:/a\:b\\c:mode=600", "unix", {"address": r"/a:b\c", "mode": "600"}),
            (r"unix:/a\=b", "unix", {"address": "/a=b"}),
            ("unix:address=/a=b", "unix", {"address": "/a=b"}),
            ("tcp6:80:interface=x", "tcp6", {"0": "80", "interface": "x"}),
            ("ssl:systemd:domain=INET:index=0", "ssl", {}),
        ]:
            with self.subTest(text=text):
                parsed = parse_description(text)
                self.assertEqual((parsed.kind, parsed.arguments), (kind, arguments))

    def test_malformed(self) -> None:
        """A trailing backslash and an argument given twice are refused."""
        for text in ("tcp:80\\", "tcp\\", "tcp:80:port=80", "tcp:80:a=1:a=2"):
            with self.assertRaises(Malformed, msg=text):
                parse_description(text)

    @quick
    @given(st.text(alphabet="tcp:=\\/ 8é", max_size=30))
    def test_anything(self, text: str) -> None:
        """Nothing but our own error escapes, from any reader of these strings."""
        is_tls(text)
        port_of(text)
        with contextlib.suppress(SettingsError):
            parse_listener(MemoryReactorClock(), text, Certificates(lambda: NOW), "server.listen")

    @quick
    @given(st.text(max_size=20))
    def test_round_trip(self, path: str) -> None:
        """What Twisted quotes is read back."""
        arguments = parse_description("unix:address=" + quoteStringArgument(path)).arguments
        self.assertEqual(arguments, {"address": path})

    def test_linear(self) -> None:
        """A hostile string is read once."""
        parse_description("tcp6" + ":" * 50_000 + "\\\\" * 50_000)

    def test_is_tls_and_port(self) -> None:
        """Whether clients speak TLS, and to which port, is told without opening anything."""
        for text, tls, port in [
            ("ssl:443", True, 443),
            ("ssl:port=8443:interface=127.0.0.1", True, 8443),
            ("ssl:systemd:domain=INET:index=0", True, None),
            ("ssl:443:privateKey=/nowhere", True, 443),
            ("tls:/certificates:port=444", True, 444),
            ("tls:/certificates:444", True, 444),
            ("tcp:80", False, 80),
            ("tcp6:81", False, 81),
            ("tcp:80000", False, None),
            ("tcp:٣", False, None),
            ("tcp:-1", False, None),
            ("tcp:999999999999", False, None),
            ("unix:/run/a", False, None),
            ("systemd:domain=INET:index=0", False, None),
            ("haproxy:ssl:443:privateKey=/nowhere", True, 443),
            ("haproxy:tcp:80", False, 80),
            ("tcp:80\\", False, None),
            ("", False, None),
        ]:
            self.assertEqual((is_tls(text), port_of(text)), (tls, port), text)


class ListenerTestCase(SynchronousTestCase):
    """A case with a pair in files, and a reactor at the pair's time."""

    def setUp(self) -> None:
        """Write the pair."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = Path(made.name)
        self.cert = write(self.directory / "cert.pem", [leaf().pem, intermediate().pem])
        self.key = write(self.directory / "key.pem", leaf().key_pem())
        self.certificates = Certificates(lambda: NOW, PairFiles(self.cert, self.key))
        self.reactor = MemoryReactorClock()

    def parse(self, text: str, certificates: Certificates | None = None) -> Any:
        """The endpoint."""
        certificates = Certificates(lambda: NOW) if certificates is None else certificates
        return parse_listener(self.reactor, text, certificates, "server.listen")

    def refused(self, text: str, certificates: Certificates | None = None) -> SettingsError:
        """Why it is refused."""
        with self.assertRaises(SettingsError) as caught:
            self.parse(text, certificates)
        self.assertEqual(caught.exception.key, "server.listen")
        error: SettingsError = caught.exception
        return error


class PlainTests(ListenerTestCase):
    def test_kinds(self) -> None:
        """Each kind of string gets its endpoint."""
        for text, kind in [
            ("tcp:80", DualStackEndpoint),
            ("tcp:80:interface=", DualStackEndpoint),
            ("tcp:80:interface=127.0.0.1", TCP4ServerEndpoint),
            (r"tcp:80:interface=\:\:1", TCP4ServerEndpoint),
            ("tcp6:80", TCP6ServerEndpoint),
            ("unix:/run/docxy.sock", FreshUnixEndpoint),
        ]:
            self.assertIsInstance(self.parse(text), kind, text)

    def test_tcp(self) -> None:
        """Port, interface and backlog reach the reactor."""
        self.parse("tcp:80:interface=127.0.0.1:backlog=7").listen(Callers())
        self.assertEqual(self.reactor.tcpServers[0][0::2], (80, 7))
        self.assertEqual(self.reactor.tcpServers[0][3], "127.0.0.1")

    def test_inherited(self) -> None:
        """Where a socket is given, every kind listens on it and opens none; what it says is judged still."""
        heir: Any = Heir(self.reactor, -1)
        for text in (
            "tcp:80",
            "tcp:80:interface=127.0.0.1",
            "unix:/nowhere/x",
        ):
            self.assertIs(parse_listener(heir, text, self.certificates, "server.listen"), heir)
        given = "systemd:domain=INET:index=7"
        for text in ("ssl:443", f"ssl:{given}", given, "tcp6:80", "haproxy:tcp:80"):
            heir = Heir(self.reactor, socket.create_server(("127.0.0.1", 0)).detach())
            parse_listener(heir, text, self.certificates, "server.listen").listen(Callers())
        self.assertEqual(len(self.reactor.adoptedPorts), 5)
        self.assertEqual(self.reactor.tcpServers, [])
        with self.assertRaises(SettingsError):
            parse_listener(heir, "tcp:80:nonsense=1", self.certificates, "server.listen")

    def test_unix(self) -> None:
        """A UNIX socket is closed to others unless the string says otherwise, and leaves no lock file."""
        for text, mode, lock in [("unix:/x", 0o660, False), ("unix:/x:mode=600:lockfile=1", 0o600, True)]:
            self.parse(text).listen(Callers())
            address, _, _, given_mode, given_lock = self.reactor.unixServers.pop()
            self.assertEqual((address, given_mode, given_lock), ("/x", mode, lock))

    def test_systemd(self) -> None:
        """A socket that was not handed over is told as such."""
        for text in (
            "systemd:domain=INET:index=7",
            "systemd:domain=INET:name=nobody",
            "ssl:systemd:domain=INET:index=7",
        ):
            error = self.refused(text, self.certificates)
            self.assertIn("systemd did not hand over", error.problem)
            self.assertIn(".socket unit", error.remedy)

    def test_refused(self) -> None:
        """A string that means nothing is quoted, with what would mean something."""
        for text in [
            "",
            "tcp",
            "tcp:",
            "tcp:eighty",
            "tcp:65536",
            "tcp:80:backlog=many",
            "tcp:80:interfaces=x",
            "tcp:80:a:1:2",
            "unix:",
            "unix:/x:mode=rw",
            "carrier-pigeon:1",
            "systemd:domain=INET",
            "systemd:domain=NONE:index=0",
        ]:
            with self.subTest(text=text):
                error = self.refused(text)
                self.assertIn(repr(text), error.problem)
                self.assertNotIn("int()", error.problem)
                self.assertNotIn(" ()", error.problem)


class TLSTests(ListenerTestCase):
    def shakes_hands(self, endpoint: Any) -> bool:
        """Whether a verifying client is content with what ``endpoint`` shows."""
        endpoint.listen(HeardFactory())
        factory: Any = self.reactor.tcpServers.pop()[1]
        client = peer(client_context(), server_hostname=HOST)
        return join(factory, client, self.reactor).peer.handshaken

    def test_settings_pair(self) -> None:
        """Without key arguments the certificate of the settings is shown."""
        self.assertTrue(self.shakes_hands(self.parse("ssl:443:interface=127.0.0.1", self.certificates)))

    def test_dual_stack(self) -> None:
        """Without an interface it listens on both families."""
        port = self.successResultOf(self.parse("ssl:0", self.certificates).listen(Callers()))
        self.addCleanup(close, port, self.reactor)
        self.assertIn(port.getHost().host, ("::", "0.0.0.0"))

    def test_without_pair(self) -> None:
        """Where no certificate is set, the start ends with how to set one."""
        for text in ("ssl:443", "ssl:port=443", "ssl:systemd:domain=INET:index=0"):
            error = self.refused(text)
            self.assertIn("needs a certificate", error.problem)
            self.assertIn("tls.cert", error.remedy)

    def test_own_pair(self) -> None:
        """With key arguments that pair is shown, with its whole chain; the settings need none."""
        chain = write(self.directory / "chain.pem", intermediate().pem)
        alone = write(self.directory / "alone.pem", leaf().pem)
        both = write(self.directory / "both.pem", [leaf().key_pem(), leaf().pem, intermediate().pem])
        for arguments in [
            f"privateKey={self.key}:certKey={self.cert}",
            f"{self.key}:{self.cert}",
            f"privateKey={self.key}:certKey={alone}:extraCertChain={chain}",
            f"privateKey={both}",
        ]:
            with self.subTest(arguments=arguments):
                endpoint = self.parse(f"ssl:443:{arguments}:interface=127.0.0.1")
                self.assertTrue(self.shakes_hands(endpoint))

    def test_own_pair_checked(self) -> None:
        """Files that cannot serve are named before OpenSSL could ask for a passphrase."""
        locked = write(self.directory / "locked.pem", leaf().key_pem(passphrase=b"x"))
        for arguments, problem in [
            (f"privateKey={locked}:certKey={self.cert}", "is encrypted"),
            (f"privateKey={locked}:certKey={self.cert}:dhParameters=/nowhere", "is encrypted"),
            ("privateKey=/nowhere", "does not exist"),
            (f"certKey={self.cert}", "server.pem' does not exist"),
            (
                f"privateKey={self.key}:certKey={write(self.directory / 'root.pem', root().pem)}",
                "does not belong",
            ),
        ]:
            self.assertIn(problem, self.refused(f"ssl:443:{arguments}").problem)

    def test_directory(self) -> None:
        """A directory of certificates is Twisted's to read; what OpenSSL refuses there is told in a line."""
        write(self.directory / "broken.pem", root().pem.replace(b"MII", b"AAA"))
        self.assertIn("OpenSSL refuses", self.refused(f"tls:{self.directory}:port=443").problem)

    def test_own_pair_kept(self) -> None:
        """Such a pair is known from then on, with its names, its warnings and its whole paths."""
        Path(self.key).chmod(0o644)
        known = Certificates(lambda: NOW)
        here = os.path.relpath(self.key), os.path.relpath(self.cert)
        self.parse(f"ssl:443:privateKey={here[0]}:certKey={here[1]}:extraCertChain={here[1]}", known)
        self.assertEqual(known.names(), (HOST,))
        self.assertEqual([self.key in text for text in known.warnings()], [True])
        files = [("server.listen", path) for path in (self.cert, self.key, self.cert)]
        self.assertEqual(list(known.files()), files)

    def test_own_pair_of_twisteds(self) -> None:
        """Arguments that only Twisted knows go to its own parser: the files are not read again."""
        known = Certificates(lambda: NOW)
        text = f"ssl:443:privateKey={self.key}:certKey={self.cert}:dhParameters=/nowhere"
        self.parse(text, known)
        self.assertEqual((known.names(), list(known.files())), ((HOST,), []))

    def test_inherited_family(self) -> None:
        """An inherited socket keeps its own family, whatever the description says of it."""
        with socket.socket(socket.AF_INET6) as listening:
            handed = ListenFDs([os.dup(listening.fileno())], ("web",))
            self.patch(endpoints._SystemdParser, "_sddaemon", handed)
            self.parse("systemd:domain=INET:index=0").listen(Callers())
            self.assertEqual(self.reactor.adoptedPorts.pop()[1], socket.AF_INET6)

    def test_inherited(self) -> None:
        """An inherited socket can be spoken TLS on."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for text, kind in [("", Callers), ("ssl:", TLSMemoryBIOFactory)]:
                handed = ListenFDs([os.dup(listening.fileno())], ("web",))
                self.patch(endpoints._SystemdParser, "_sddaemon", handed)
                self.parse(f"{text}systemd:domain=INET:index=0", self.certificates)
                self.parse(f"{text}systemd:domain=INET:name=web", self.certificates).listen(Callers())
                self.assertIsInstance(self.reactor.adoptedPorts.pop()[2], kind)


class ListenErrorTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each refusal of the system is told with its remedy."""
        for text, number, problem, remedy in [
            ("ssl:443", errno.EADDRINUSE, "taken by another process", "sport = :443"),
            ("unix:/x", errno.EADDRINUSE, "taken by another process", "ss -lxp"),
            ("tcp:80", errno.EACCES, "below 1024", "CAP_NET_BIND_SERVICE"),
            ("tcp:80", errno.EPERM, "below 1024", "CAP_NET_BIND_SERVICE"),
            ("unix:/x", errno.EACCES, "may not be created", "directory"),
            ("tcp:80:interface=192.0.2.1", errno.EADDRNOTAVAIL, "does not have", "ip address"),
            ("unix:/no/x", errno.ENOENT, "does not exist", "create it"),
            ("tcp:80", errno.EMFILE, os.strerror(errno.EMFILE), "another address"),
        ]:
            with self.subTest(text=text, number=number):
                cause = OSError(number, os.strerror(number))
                for error in (cause, CannotListenError("", 80, cause)):
                    told = listen_error(text, error)
                    self.assertEqual(told.key, "server.listen")
                    self.assertIn(repr(text), told.problem)
                    self.assertIn(problem, told.problem)
                    self.assertIn(remedy, told.remedy)

    def test_other_errors(self) -> None:
        """An error without a number is told in its own words, under the setting that was given."""
        told = listen_error("tcp:80", ValueError("strange"), "admin.listen")
        self.assertEqual((told.key, told.problem), ("admin.listen", "'tcp:80' cannot be opened (strange)"))
        told = listen_error("unix:/x", CannotListenError("", "/x", "Cannot acquire lock"))
        self.assertIn("Cannot acquire lock", told.problem)
