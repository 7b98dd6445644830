"""Who asks, and under which name: what is believed of Host and X-Forwarded-*."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.forms import network
from docxy.testing import reply
from docxy.web.front import MAX_AUTHORIZATION
from tests.unit.web.rig import CLIENT, HOST, Logged, Rig, settings

PROXY = "10.1.2.3"


def realm(rig: Rig, *headers: str, peer: str = CLIENT, host: str = HOST) -> str:
    """The scheme and host of the realm that a ping is answered with."""
    challenge = rig.connect(peer).get("/v2/", *headers, host=host).headers["WWW-Authenticate"]
    start = challenge.index('realm="') + 7
    return str(challenge[start : challenge.index("/auth/token", start)])


class HostTests(SynchronousTestCase):
    """A Host is believed when it is one of our names."""

    def test_public(self) -> None:
        """The public URL's name gives the realm, and an unknown name does not."""
        rig = Rig()
        self.assertEqual(realm(rig), "https://mirror.example.com")
        self.assertEqual(realm(rig, host="evil.example"), "https://mirror.example.com")
        self.assertEqual(realm(rig, host='x"y'), "https://mirror.example.com")

    def test_certificate(self) -> None:
        """A name of the certificate is believed with its port, a wildcard for one label."""
        rig = Rig(names=("*.cert.example", "bare.example"))
        self.assertEqual(realm(rig, host="a.cert.example:8443"), "http://a.cert.example:8443")
        self.assertEqual(realm(rig, host="bare.example"), "http://bare.example")
        self.assertEqual(realm(rig, host="a.b.cert.example"), "https://mirror.example.com")

    def test_local_address(self) -> None:
        """The address that the client connected to is believed, without any setting."""
        rig = Rig(settings(public_urls=()))
        self.assertEqual(realm(rig, host="192.0.2.1:5000"), "http://192.0.2.1:5000")
        self.assertEqual(realm(rig, host="192.0.2.2:5000"), "http://192.0.2.1:5000")

    def test_changes_with_certificate(self) -> None:
        """A reloaded certificate's names count at once."""
        rig = Rig()
        self.assertEqual(realm(rig, host="new.example"), "https://mirror.example.com")
        rig.names = ("new.example",)
        self.assertEqual(realm(rig, host="new.example"), "http://new.example")


class ForwardedTests(SynchronousTestCase):
    """X-Forwarded-* are believed of trusted proxies alone."""

    def setUp(self) -> None:
        """A mirror behind a proxy."""
        self.rig = Rig(
            settings(trusted_proxies=(network("10.0.0.0/8"),), public_urls=("http://mirror.example.com",)),
            names=("cert.example",),
        )

    def test_scheme(self) -> None:
        """The proxy tells the scheme; anybody else does not."""
        https = "X-Forwarded-Proto: https"
        self.assertEqual(realm(self.rig, https, peer=PROXY, host="cert.example"), "https://cert.example")
        self.assertEqual(realm(self.rig, https, peer=CLIENT, host="cert.example"), "http://cert.example")
        self.assertEqual(realm(self.rig, https, peer="unix", host="cert.example"), "https://cert.example")

    def test_host_is_not_forwarded(self) -> None:
        """X-Forwarded-Host is nobody's to say."""
        forwarded = "X-Forwarded-Host: evil.example"
        self.assertEqual(realm(self.rig, forwarded, peer=PROXY), "http://mirror.example.com")

    def test_client(self) -> None:
        """The logged client is the right-most address outside of the proxies."""
        logged = Logged(self)
        chain = "X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.9.9.9"
        for peer in (PROXY, CLIENT, "unix"):
            self.rig.connect(peer).get("/health", chain)
        clients = [event["client"] for event in logged.access]
        self.assertEqual(clients, ["198.51.100.7", CLIENT, "198.51.100.7"])

    def test_proxy_itself(self) -> None:
        """A proxy that names nobody is the client of the pages for monitors, and unknown elsewhere."""
        logged = Logged(self)
        for peer in (PROXY, "unix"):
            for target in ("/health", "/", "/v2/", "/generate_204"):
                self.rig.connect(peer).get(target)
            self.rig.connect(peer).get("/health", "X-Forwarded-Proto: https")
        clients = [event["client"] for event in logged.access]
        alone = ["unknown", "unknown", "unknown"]
        self.assertEqual(clients, [PROXY, PROXY, *alone, "unix", "unix", *alone])


class AuthorizationTests(SynchronousTestCase):
    """The client's credential."""

    def sent(self, *headers: str) -> list[bytes]:
        """What of it reaches upstream."""
        rig = Rig()
        rig.hub.will_answer(reply(404, b"{}"))
        rig.connect().get("/v2/library/alpine/manifests/latest", *headers)
        return rig.hub.asked[0].lines(b"Authorization")

    def test_one(self) -> None:
        """One is taken; of two, none."""
        self.assertEqual(self.sent("Authorization: Bearer a"), [b"Bearer a"])
        self.assertEqual(self.sent("Authorization: Bearer a", "Authorization: Bearer b"), [])

    def test_too_long(self) -> None:
        """One longer than any known token is none."""
        self.assertEqual(self.sent(f"Authorization: Bearer {'x' * MAX_AUTHORIZATION}"), [])
