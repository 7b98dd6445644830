"""The list of upstreams."""

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.registries import DEFAULT_REDIRECTS, KNOWN
from docxy.settings.tables import Table
from docxy.settings.upstreams import name_of, read_upstreams
from docxy.settings.values import Account, NetworkSettings, SettingsError, UpstreamSettings


def upstreams(*entries: object, **root: object) -> tuple[UpstreamSettings, ...]:
    """What these entries of the list say."""
    return read_upstreams(Table("", "", {"upstream": list(entries), **root}))


def upstream(name: str, **values: Any) -> UpstreamSettings:
    """What one entry says."""
    return upstreams({"name": name, **values})[0]


class UpstreamsTestCase(SynchronousTestCase):
    """Errors as the operator sees them."""

    def check_error(self, expected: str, *entries: object, **root: object) -> None:
        """The entries are refused with the error of this text."""
        self.assertEqual(str(self.assertRaises(SettingsError, upstreams, *entries, **root)), expected)


class KnownTests(UpstreamsTestCase):
    """Registries of the table."""

    def test_nothing_said(self) -> None:
        """Without a list Docker Hub is mirrored."""
        self.assertEqual(read_upstreams(Table("", "", {})), (upstream("docker.io"),))

    def test_docker_hub(self) -> None:
        """A known name alone brings all that is known."""
        hub = KNOWN["docker.io"]
        self.assertEqual(
            upstream("docker.io"),
            UpstreamSettings(
                name="docker.io",
                urls=(hub.url,),
                prefixes=("docker.io",),
                library=True,
                realm=hub.realm,
                service=hub.service,
                needs_token=True,
                redirects=hub.redirects,
                search_url=hub.search_url,
            ),
        )

    def test_every_known_name(self) -> None:
        """Each of the table needs only its name, and none of its hosts may be private."""
        found = upstreams(*({"name": name} for name in KNOWN))
        self.assertEqual([one.name for one in found], list(KNOWN))
        self.assertEqual({one.trusted_hosts for one in found}, {frozenset()})

    def test_alias(self) -> None:
        """Docker Hub by another of its names is Docker Hub."""
        self.assertEqual(upstream("registry-1.docker.io"), upstream("docker.io"))

    def test_nearer_mirror_then_the_registry(self) -> None:
        """A mirror in front of the registry leaves its token server, and adds places for blobs."""
        both = upstream("docker.io", url=["https://near.example", "https://registry-1.docker.io"])
        self.assertEqual(both.urls, ("https://near.example", "https://registry-1.docker.io"))
        self.assertEqual(both.realm, KNOWN["docker.io"].realm)
        self.assertLess(set(KNOWN["docker.io"].redirects) | set(DEFAULT_REDIRECTS), {*both.redirects, "x"})

    def test_only_a_mirror(self) -> None:
        """Another host under a known name is asked for its own token server, and nothing else is met."""
        other = upstream("docker.io", url="https://near.example")
        self.assertEqual((other.realm, other.service, other.needs_token, other.search_url), (None,) * 4)
        self.assertTrue(other.library)

    def test_written_values_win(self) -> None:
        """What is written beats what is known."""
        one = upstream(
            "docker.io",
            library=False,
            realm="https://tokens.example/t?a=b",
            service="s",
            redirects=["*.Example.com", "cdn.example.net"],
        )
        self.assertFalse(one.library)
        self.assertEqual((one.realm, one.service), ("https://tokens.example/t?a=b", "s"))
        self.assertEqual(one.redirects, ("*.example.com", "cdn.example.net"))
        self.assertEqual(one.trusted_hosts, {"tokens.example", "cdn.example.net"})
        self.assertEqual(upstream("docker.io", redirects=[]).redirects, ())


class OwnTests(UpstreamsTestCase):
    """Registries that the table does not have."""

    def test_defaults(self) -> None:
        """A registry and its URL are enough."""
        self.assertEqual(
            upstream("localhost:5000", url="http://127.0.0.1:5000/"),
            UpstreamSettings(
                name="localhost:5000",
                urls=("http://127.0.0.1:5000",),
                prefixes=("localhost:5000",),
                redirects=DEFAULT_REDIRECTS,
                trusted_hosts=frozenset({"127.0.0.1"}),
            ),
        )

    def test_everything(self) -> None:
        """Every key arrives."""
        one = upstream(
            "quay",
            url="https://quay.example",
            hosts=["Quay.Mirror.example"],
            prefix="q",
            ca="/ca.pem",
            auth="own",
            username="robot",
            password_file="/secret",
            repositories="team/*",
            stall=3,
            connections=16,
            segment=65536,
            parallel_from=1 << 40,
            verify=False,
            network={"family": 6, "source": "2001:db8::1", "allow": ["198.18.0.0/15"]},
        )
        self.assertEqual((one.hosts, one.prefixes, one.ca), (("quay.mirror.example",), ("q",), "/ca.pem"))
        self.assertEqual((one.auth, one.account), ("own", Account("robot", "/secret")))
        self.assertEqual((one.repositories, one.stall, one.verify), (("team/*",), 3.0, False))
        self.assertEqual((one.connections, one.segment, one.parallel_from), (16, 65536, 1 << 40))
        self.assertEqual(one.network, NetworkSettings("6", "2001:db8::1", (ip_network("198.18.0.0/15"),)))

    def test_parallel(self) -> None:
        """One blob is fetched over 1 to 16 connections, in segments that are neither tiny nor huge."""
        one = upstream("docker.io")
        self.assertEqual((one.connections, one.segment, one.parallel_from), (1, 4 << 20, 32 << 20))
        bounds = {
            "connections": (0, 17, "1 to 16"),
            "segment": (65535, 67108865, "65536 to 67108864"),
            "parallel_from": (0, (1 << 40) + 1, "65536 to 1099511627776"),
        }
        for key, (less, more, told) in bounds.items():
            for wrong in (less, more):
                expected = f"upstream[docker.io].{key}: is out of bounds; write {told}"
                self.check_error(expected, {"name": "docker.io", key: wrong})

    def test_prefixes(self) -> None:
        """A host name is a prefix, a word is not, and what is written is added."""
        table = {
            "a.example": ((), ("a.example",)),
            "a:80": ((), ("a:80",)),
            "word": ((), ()),
            "b.example": (("b",), ("b.example", "b")),
            "c.example": (("c.example",), ("c.example",)),
        }
        for name, (prefix, expected) in table.items():
            extra = {"prefix": prefix[0]} if prefix else {}
            self.assertEqual(upstream(name, url="https://x.example", **extra).prefixes, expected)

    def test_needs_a_url(self) -> None:
        """A name that is not known must say where it is."""
        error = self.assertRaises(SettingsError, upstream, "a.example")
        self.assertEqual(error.key, "upstream[a.example].url")
        self.assertIn("docker.io, ghcr.io", error.problem)
        self.assertEqual(error.remedy, "give its URL, like https://a.example")

    def test_needs_a_name(self) -> None:
        """An entry without a valid name is told by its place in the list."""
        expected = 'upstream[2].name: is missing; write name = "registry.example.com"'
        self.check_error(expected, {"name": "ghcr.io"}, {"url": "https://a.example"})
        self.check_error("upstream[1].name: is a number, not a string; put it in quotes", {"name": 3})
        self.check_error(
            "upstream[1]: is not a table; write its keys below a line in [brackets]", "docker.io"
        )

    def test_realm(self) -> None:
        """A token server is asked over https, or at the registry's own http URL."""
        own = upstream("a", url="http://10.0.0.7:5000", realm="http://10.0.0.7:5000/token")
        self.assertEqual(own.realm, "http://10.0.0.7:5000/token")
        self.check_error(
            "upstream[a].realm: is not an https:// URL; write https://b.example/token",
            {"name": "a", "url": "http://a.example", "realm": "http://b.example/token"},
        )

    def test_too_many(self) -> None:
        """The list has an end."""
        self.check_error("upstream: is too long; list at most 256", *[{}] * 257)


class AccountTests(UpstreamsTestCase):
    """An account has two halves and one use."""

    def check_account(self, expected: str, **values: object) -> None:
        """An entry with these values is refused."""
        self.check_error(f"upstream[docker.io].{expected}", {"name": "docker.io", **values})

    def test_halves(self) -> None:
        """Neither half is of use alone, and both only where docxy logs in itself."""
        self.check_account(
            "username: is missing; add it, or remove password_file", auth="own", password_file="p"
        )
        self.check_account("password_file: is missing; add it, or remove username", auth="own", username="u")
        expected = 'username: needs auth = "own"; add that, or remove the account'
        self.check_account(expected, username="u", password_file="p")
        self.assertIsNone(upstream("docker.io", auth="own").account)


class NetworkTests(UpstreamsTestCase):
    """How upstreams are met."""

    def test_inherited(self) -> None:
        """Each key that an upstream does not set is that of all."""
        network = {"family": "4", "allow": ["198.18.0.0/15"]}
        one, two = upstreams(
            {"name": "docker.io"},
            {"name": "ghcr.io", "network": {"family": "any", "source": "2001:db8::1", "allow": []}},
            network=network,
        )
        self.assertEqual(one.network, NetworkSettings("4", None, (ip_network("198.18.0.0/15"),)))
        self.assertEqual(two.network, NetworkSettings("any", "2001:db8::1", ()))

    def test_source_of_another_family(self) -> None:
        """An address and a family must agree, also where one of them is inherited."""
        end = "is no IPv6 address, and family is 6; write an address of that family, or remove family"
        wrong = {"family": 6, "source": "192.0.2.7"}
        self.check_error(f"network.source: 192.0.2.7 {end}", network=wrong)
        self.check_error(
            f"upstream[ghcr.io].network.source: 192.0.2.7 {end}",
            {"name": "ghcr.io", "network": {"family": 6}},
            network={"source": "192.0.2.7"},
        )


class UniqueTests(UpstreamsTestCase):
    """One name leads to one upstream."""

    def test_names(self) -> None:
        """An upstream is listed once, under whichever of its names."""
        expected = "upstream[docker.io].name: is there twice; remove one of the two"
        self.check_error(expected, {"name": "docker.io"}, {"name": "index.docker.io"})

    def test_prefixes(self) -> None:
        """A prefix is nobody else's prefix or name."""
        hub = {"name": "docker.io", "prefix": "hub"}
        expected = "upstream[ghcr.io].prefix: hub belongs to docker.io already; choose another"
        self.check_error(expected, hub, {"name": "ghcr.io", "prefix": "hub"})
        expected = "upstream[hub].name: hub belongs to docker.io already; choose another"
        self.check_error(expected, hub, {"name": "hub", "url": "https://hub.example"})

    def test_hosts(self) -> None:
        """A host name selects one upstream."""
        expected = "upstream[ghcr.io].hosts: m.example belongs to docker.io already; choose another"
        self.check_error(
            expected, {"name": "docker.io", "hosts": "m.example"}, {"name": "ghcr.io", "hosts": ["M.example"]}
        )


class NameOfTests(SynchronousTestCase):
    """The name of an entry that nobody has looked at yet."""

    def test_name_of(self) -> None:
        """Aliases are resolved; entries without a name have none."""
        self.assertEqual(name_of({"name": "index.docker.io"}), "docker.io")
        self.assertEqual([name_of({}), name_of({"name": 3}), name_of("docker.io")], [None] * 3)
