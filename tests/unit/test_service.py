"""`docxy.service`: what is wired to what, and where it listens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from docxy import __version__
from docxy.service import https_url
from docxy.settings.forms import network
from docxy.settings.values import AdminSettings, SettingsError, TLSSettings
from tests.unit.service_rig import Reactor, ServiceCase, settings
from tests.unit.web.rig import Connection, address


class BindTests(ServiceCase):
    """Listeners are opened as the service is built."""

    def test_all(self) -> None:
        """Every endpoint listens; all of `listen` share one site, and so do those of `redirect`."""
        self.build(settings("5000", "5001", redirect=("tcp:8080:interface=127.0.0.1",)))
        ports, sites = zip(*[server[:2] for server in self.reactor.tcpServers], strict=True)
        self.assertEqual(ports, (5000, 5001, 8080))
        self.assertEqual((sites[0] is sites[1], sites[0] is sites[2]), (True, False))
        self.assertEqual(self.connect().get("/health").status, 200)

    def test_taken(self) -> None:
        """A taken port is told by its setting; what was open already is closed again."""
        self.reactor.taken = 5001
        for found, key in (
            (settings("5000", "5001"), "server.listen"),
            (settings("5000", redirect=("tcp:5001:interface=127.0.0.1",)), "server.redirect"),
        ):
            error = self.assertRaises(SettingsError, self.build, found)
            self.assertEqual(error.key, key)
            self.assertIn("is taken by another process", error.problem)

    def test_malformed(self) -> None:
        """An endpoint that means nothing is told by its setting."""
        found = replace(settings(), server=replace(settings().server, listen=("nonsense:1",)))
        self.assertEqual(self.assertRaises(SettingsError, self.build, found).key, "server.listen")

    def test_broken_certificate(self) -> None:
        """A pair that cannot serve is told before anything is opened."""
        tls = self.pair()
        found = settings(tls=TLSSettings(tls.cert, self.pair("other.example").cert))
        self.assertIn("tls.", self.assertRaises(SettingsError, self.build, found).key)
        self.assertEqual(self.reactor.tcpServers, [])

    def test_tls(self) -> None:
        """A TLS listener shows the certificate, whose names are believed."""
        found = settings(tls=self.pair("cert.example"))
        found = replace(found, server=replace(found.server, listen=("ssl:5443:interface=127.0.0.1",)))
        self.build(found)
        site = cast("Any", self.reactor.tcpServers[0][1]).wrappedFactory
        connection = Connection(site, cast("Any", self.reactor), address("::1"), address("::1"))
        challenge = connection.get("/v2/", host="cert.example").headers["WWW-Authenticate"]
        self.assertIn('realm="http://cert.example/auth/token"', challenge)


class RedirectTests(ServiceCase):
    """The plain twin of a TLS listener."""

    def location(self, host: str, **more: Any) -> str:
        """Where it leads who calls it by this name."""
        self.reactor = Reactor()
        self.build(settings(redirect=("tcp:8080:interface=127.0.0.1",), **more))
        return str(self.connect(1).get("/", host=host).headers["Location"])

    def test_public(self) -> None:
        """It leads to the public URL, whoever asks and by whichever name."""
        self.assertEqual(self.location("evil.example"), "https://mirror.example.com/")
        both = ("http://plain.example", "https://tls.example:8443", "https://other.example")
        self.assertEqual(self.location("plain.example", public_urls=both), "https://tls.example:8443/")

    def test_without_public(self) -> None:
        """Without an https one it leads to the name it was asked by, or to our own address."""
        for host in ("127.0.0.1:8080", "evil.example"):
            self.assertEqual(self.location(host, public_urls=()), "https://127.0.0.1/")
        plain = ("http://plain.example:8080",)
        self.assertEqual(self.location("plain.example:8080", public_urls=plain), "https://plain.example/")

    def test_url(self) -> None:
        """The port is that of the TLS listener, an IPv6 address stays in its brackets."""
        for base, listen, url in (
            ("http://a.example", ("ssl:443",), "https://a.example"),
            ("http://a.example:8080", ("tcp:80", "ssl:8443"), "https://a.example:8443"),
            ("http://[2001:db8::1]:80", ("ssl:443",), "https://[2001:db8::1]"),
            ("http://[::1]", ("ssl:8443",), "https://[::1]:8443"),
            ("http://a.example", ("ssl:systemd:domain=INET:index=0",), "https://a.example"),
            ("http://a.example", (), "https://a.example"),
        ):
            self.assertEqual(https_url(base, listen), url)

    def test_open_to_all(self) -> None:
        """Clients outside of `server.allow` are told where the mirror is as well."""
        found = settings(redirect=("tcp:8080:interface=127.0.0.1",))
        nobody = (network("198.51.100.0/24"),)
        self.build(replace(found, server=replace(found.server, allow=nobody)))
        self.assertEqual(self.connect(0).get("/v2/").status, 403)
        self.assertEqual(self.connect(1).get("/").status, 308)


class AdminTests(ServiceCase):
    """The admin listener beside the others."""

    LISTEN = "tcp:9100:interface=127.0.0.1"

    def test_metrics(self) -> None:
        """It tells of what the others serve, of the process and of the certificate, and is no mirror."""
        self.build(settings(admin=AdminSettings(self.LISTEN), tls=self.pair("cert.example")))
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [5000, 9100])
        self.connect(0).get("/health")
        told = self.connect(1).get("/metrics").body.decode()
        self.assertIn('docxy_requests_total{kind="other",status="200",upstream="none"} 1.0\n', told)
        self.assertIn('docxy_relays_active{upstream="docker.io"} 0.0\n', told)
        self.assertRegex(told, r"\ndocxy_certificate_expiry_seconds \d")
        for severity in ("warning", "error"):
            self.assertIn(f'docxy_certificates_ending{{severity="{severity}"}} 0.0\n', told)
        self.assertIn(f'version="{__version__}"', told)
        status = self.connect(1).get("/status").json
        self.assertEqual([one["name"] for one in status["upstreams"]], ["docker.io"])
        self.assertEqual([one["names"] for one in status["certificates"]], [["cert.example"]])
        self.assertEqual(status["limits"].keys(), {"relays", "connections", "asks"})
        self.assertEqual((status["draining"], status["refused_logins"]), (False, 0))
        self.assertEqual(self.connect(1).get("/health").status, 404)
        self.assertEqual(self.connect(0).get("/metrics").status, 404)

    def test_no_certificate(self) -> None:
        """Without a certificate there is no expiry."""
        self.build(settings(admin=AdminSettings(self.LISTEN)))
        self.assertNotIn("\ndocxy_certificate_expiry_seconds ", self.connect(1).get("/metrics").body.decode())

    def test_taken(self) -> None:
        """A taken port is told by its setting."""
        self.reactor.taken = 9100
        error = self.assertRaises(SettingsError, self.build, settings(admin=AdminSettings(self.LISTEN)))
        self.assertEqual(error.key, "admin.listen")
