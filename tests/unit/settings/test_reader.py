"""One mapping to `Settings`."""

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.forms import LOOPBACK
from docxy.settings.reader import own_certificate, read
from docxy.settings.tables import Table
from docxy.settings.upstreams import read_upstreams
from docxy.settings.values import (
    LimitSettings,
    LogSettings,
    ServerSettings,
    Settings,
    SettingsError,
    TLSSettings,
)

CERTIFICATE = {"cert": "/chain.pem", "key": "/key.pem"}
ACCOUNT = {"name": "docker.io", "auth": "own", "username": "u", "password_file": "/p"}


def server(**values: Any) -> ServerSettings:
    """What a [server] table of these values says, where there is a certificate."""
    return read({"server": values, "tls": CERTIFICATE}).server


class ReaderTestCase(SynchronousTestCase):
    """Errors as the operator sees them."""

    def check_error(self, expected: str, **mapping: object) -> None:
        """The mapping is refused with the error of this text."""
        self.assertEqual(str(self.assertRaises(SettingsError, read, mapping)), expected)


class DefaultTests(ReaderTestCase):
    """What holds where nothing is said."""

    def test_empty(self) -> None:
        """Nothing at all is Docker Hub on loopback, over plain HTTP."""
        expected = Settings(
            server=ServerSettings(listen=("tcp:5000:interface=127.0.0.1",)),
            upstreams=read_upstreams(Table("", "", {})),
        )
        self.assertEqual(read({}), expected)

    def test_with_a_certificate(self) -> None:
        """A certificate makes it https, and port 80 redirects."""
        found = read({"tls": CERTIFICATE})
        self.assertEqual(found.server, ServerSettings(listen=("ssl:443",), redirect=("tcp:80",)))
        self.assertEqual(found.tls, TLSSettings("/chain.pem", "/key.pem"))

    def test_redirect(self) -> None:
        """Port 80 redirects beside each port 443, on its interface, and beside no other."""
        table: dict[tuple[str, ...], tuple[str, ...]] = {
            ("ssl:443:interface=192.0.2.7",): ("tcp:80:interface=192.0.2.7",),
            (r"ssl:port=443:interface=2001\:db8\:\:1",): (r"tcp:80:interface=2001\:db8\:\:1",),
            ("ssl:8443",): (),
            ("tcp:443",): (),
            ("ssl:443:privateKey=k:certKey=c", "tcp:5000"): ("tcp:80",),
        }
        self.assertEqual({listen: server(listen=listen).redirect for listen in table}, table)


class ServerTests(ReaderTestCase):
    """The [server] table."""

    def test_everything(self) -> None:
        """Every key arrives."""
        expected = ServerSettings(
            listen=("ssl:8443", "tcp:5000"),
            redirect=("tcp:8080",),
            public_urls=("https://mirror.example.com", "http://10.0.0.7:5000"),
            trusted_proxies=(ip_network("10.0.0.0/8"),),
            drain=0.0,
            secret_path="k7x-abcdefgh",
            allow=(ip_network("192.0.2.0/24"),),
        )
        found = server(
            listen=["ssl:8443", "tcp:5000"],
            redirect="tcp:8080",
            public_url=["https://Mirror.example.com:443/", "http://10.0.0.7:5000"],
            trusted_proxies=["10.0.0.0/8"],
            drain=0,
            secret_path="k7x-abcdefgh",
            allow=["192.0.2.0/24"],
        )
        self.assertEqual(found, expected)

    def test_secret_is_not_shown(self) -> None:
        """Settings can be printed without giving the secret path away."""
        self.assertNotIn("hunter2-hunter2", repr(read({"server": {"secret_path": "hunter2-hunter2"}})))

    def test_certificate_for_ssl(self) -> None:
        """A listener that needs the certificate is refused without one."""
        expected = (
            "server.listen: ssl:8443 needs a certificate; "
            "set tls.cert and tls.key (--cert, --key) or --acme, or listen on tcp:"
        )
        self.check_error(expected, server={"listen": ["tcp:5000", "ssl:8443"]})
        own = "ssl:8443:privateKey=/k:certKey=/c"
        self.assertEqual(read({"server": {"listen": own}}).server.listen, (own,))

    def test_own_certificate(self) -> None:
        """`ssl:` without key arguments takes docxy's certificate, also by way of systemd."""
        table = {
            "ssl:443": True,
            "ssl:systemd:domain=INET:index=0": True,
            "ssl:443:privateKey=k": False,
            "ssl:443:certKey=k": False,
            "tcp:443": False,
        }
        self.assertEqual({listener: own_certificate(listener) for listener in table}, table)

    def test_nothing_listens(self) -> None:
        """An empty list of listeners is no default."""
        self.check_error(
            "server.listen: is empty; list at least one, or remove the key", server={"listen": []}
        )

    def test_redirect_to_nowhere(self) -> None:
        """Who redirects to https has something to redirect to."""
        expected = (
            "server.redirect: has no https URL to send clients to; "
            "set server.public_url, or remove server.redirect"
        )
        self.check_error(expected, server={"redirect": ["tcp:80"]})
        behind = {"redirect": "tcp:80", "public_url": "https://mirror.example.com"}
        self.assertEqual(read({"server": behind}).server.redirect, ("tcp:80",))

    def test_one_endpoint_for_both(self) -> None:
        """A port serves the mirror or redirects, not both."""
        expected = "server.redirect: tcp:80 is in server.listen too; remove one of the two"
        self.check_error(expected, server={"listen": ["ssl:443", "tcp:80"]}, tls=CERTIFICATE)

    def test_half_a_certificate(self) -> None:
        """Certificate and key come together."""
        end = "is missing; give the certificate chain and its key together"
        self.check_error(f"tls.key: {end}", tls={"cert": "/c"})
        self.check_error(f"tls.cert: {end}", tls={"key": "/k"})

    def test_proxies(self) -> None:
        """True is this machine, with a warning; false is nobody."""
        found = read({"server": {"trusted_proxies": True}})
        self.assertEqual(found.server.trusted_proxies, LOOPBACK)
        self.assertEqual(len(found.warnings), 1)
        self.assertEqual(read({"server": {"trusted_proxies": False}}), read({}))

    def test_secret_is_no_upstream(self) -> None:
        """A secret that is somebody's name is none."""
        self.check_error(
            "server.secret_path: is the name of an upstream; choose 20 random letters",
            server={"secret_path": "my-mirror"},
            upstream=[{"name": "docker.io", "prefix": "my-mirror"}],
        )


class TogetherTests(ReaderTestCase):
    """What must not stand together."""

    def test_account_for_everybody(self) -> None:
        """An account is limited by repositories, by a secret, or by the clients' networks."""
        expected = (
            "upstream[docker.io].username: opens all that this account may read to everybody; "
            "add repositories = [...], server.secret_path or an [[access.key]], "
            "or set access.allow to your clients' networks alone"
        )
        self.check_error(expected, upstream=[ACCOUNT])
        for networks in (["0.0.0.0/0", "::/0"], ["::/0"], ["10.0.0.0/8", "0.0.0.0/0"]):
            self.check_error(expected, upstream=[ACCOUNT], access={"allow": networks})
            self.check_error(expected, upstream=[ACCOUNT], server={"allow": networks})
            guarded = {"allow": networks, "key": [{"name": "bob", "path": "bobs-path"}]}
            self.assertEqual(len(read({"upstream": [ACCOUNT], "access": guarded}).upstreams), 1)
        limits: tuple[dict[str, object], ...] = ({"secret_path": "k7x-abcdefgh"}, {"allow": "10.0.0.0/8"})
        for limit in limits:
            self.assertEqual(len(read({"upstream": [ACCOUNT], "server": limit}).upstreams), 1)
        self.assertEqual(len(read({"upstream": [ACCOUNT | {"repositories": ["a/*"]}]}).upstreams), 1)

    def test_default_without_tokens(self) -> None:
        """A first upstream without tokens leaves clients without one for the others."""
        expected = (
            "upstream[ghcr.io].auth: the first upstream, {}, needs no token, "
            "so clients bring none for ghcr.io; "
            'set auth = "own" for ghcr.io, or list it first'
        )
        own = {"name": "docker.io", "auth": "own"}
        kubernetes = {"name": "registry.k8s.io"}
        github = {"name": "ghcr.io"}
        self.check_error(expected.format("docker.io"), upstream=[own, kubernetes, github])
        self.check_error(expected.format("registry.k8s.io"), upstream=[kubernetes, github])

    def test_default_without_tokens_and_nobody_harmed(self) -> None:
        """That is well where the others need none, have their own host, or are docxy's own."""
        own = {"name": "docker.io", "auth": "own"}
        word = {"name": "word", "url": "https://a.example", "hosts": "a.mirror.example"}
        for other in ({"name": "registry.k8s.io"}, {"name": "ghcr.io", "auth": "own"}, word):
            self.assertEqual(len(read({"upstream": [own, other]}).upstreams), 2)
        self.assertEqual(len(read({"upstream": [{"name": "ghcr.io"}, own]}).upstreams), 2)


class PartsTests(ReaderTestCase):
    """The smaller tables."""

    def test_limits(self) -> None:
        """Counts and times are read by their own kinds."""
        found = read({"limits": {"relays": 5, "answer": 3}}).limits
        self.assertEqual(found, LimitSettings(relays=5, answer=3.0))
        self.check_error(
            "limits.relays: is a number, not a whole number; write one like 4096", limits={"relays": 1.5}
        )

    def test_log(self) -> None:
        """Format and level are words of short lists."""
        found = read({"log": {"format": "json", "level": "debug"}}).log
        self.assertEqual(found, LogSettings("json", "debug"))
        self.check_error("log.format: is 'xml'; write text or json", log={"format": "xml"})
        self.check_error(
            "log.level: is 'warning'; write debug or info or warn or error", log={"level": "warning"}
        )


class AdminTests(ReaderTestCase):
    """The listener for those who watch."""

    def test_admin(self) -> None:
        """It is off unless it is asked for, and is one endpoint that nothing else listens on."""
        self.assertIsNone(read({}).admin.listen)
        self.assertEqual(read({"admin": {"listen": "unix:/x"}}).admin.listen, "unix:/x")
        end = "; choose another port or path"
        for name in ("listen", "redirect"):
            self.check_error(
                f"admin.listen: tcp:80 is in server.{name} too{end}",
                admin={"listen": "tcp:80"},
                server={"listen": "tcp:81", "public_url": "https://a.example"} | {name: "tcp:80"},
            )
        self.assertRaises(SettingsError, read, {"admin": {"listen": ["tcp:1"]}})
        self.assertRaises(SettingsError, read, {"admin": {"listen": "9100"}})


class WarningTests(SynchronousTestCase):
    """What is allowed, and said once at start."""

    def test_quiet(self) -> None:
        """Plain settings warn of nothing."""
        self.assertEqual(
            read(
                {"tls": CERTIFICATE, "server": {"trusted_proxies": ["10.0.0.0/8"], "allow": "10.0.0.0/8"}}
            ).warnings,
            (),
        )

    def test_everybody_is_a_proxy(self) -> None:
        """Trust in every address is said."""
        for network in ("0.0.0.0/0", "::/0"):
            (warning,) = read({"server": {"trusted_proxies": [network]}}).warnings
            self.assertIn("any client may claim any address", warning)

    def test_idle_certificate(self) -> None:
        """A certificate that no listener uses is said."""
        (warning,) = read({"tls": CERTIFICATE, "server": {"listen": "tcp:443:127.0.0.1"}}).warnings
        self.assertIn("tls.cert: no listener uses it", warning)

    def test_plain_upstream(self) -> None:
        """An upstream over http is said, with its URL."""
        (warning,) = read(
            {"upstream": [{"name": "a", "url": ["https://a.example", "http://b.example"]}]}
        ).warnings
        self.assertTrue(warning.startswith("upstream[a].url: http://b.example is not encrypted"))

    def test_open_admin(self) -> None:
        """An admin listener that others may reach is said, with its endpoint."""
        for listen in (
            "tcp:9100:interface=127.0.0.1",
            "tcp:9100:127.0.0.1",
            "tcp:9100:interface=\\:\\:1",
            "unix:/run/docxy/admin.sock:mode=660",
            "systemd:domain=INET:index=0",
            "ssl:systemd:domain=INET:index=0",
        ):
            self.assertEqual(read({"admin": {"listen": listen}}).warnings, (), listen)
        for listen in ("tcp:9100", "tcp:9100:interface=192.0.2.7", "tcp:9100:interface=\\:\\:", "tcp6:9100"):
            (warning,) = read({"admin": {"listen": listen}}).warnings
            self.assertIn(f"admin.listen: {listen} shows who pulls what", warning)
