"""Tests for `docxy.policy.access`."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.names import Repository
from docxy.oci.routes import Kind
from docxy.policy.access import Networks, allowed, permit, within
from docxy.policy.proxies import UNKNOWN
from docxy.settings.reader import read
from docxy.settings.values import UpstreamSettings

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


class AllowedTests(SynchronousTestCase):
    """Who is in a list of networks."""

    def test_no_networks(self) -> None:
        """Without networks everybody may, also over a unix socket."""
        for address in ("8.8.8.8", "::1", "unix"):
            self.assertTrue(allowed(address, ()))

    def test_inside(self) -> None:
        """Clients of the networks may, mapped addresses and zones included."""
        for address in ("192.0.2.255", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::1%eth0"):
            self.assertTrue(allowed(address, NETWORKS), address)

    def test_outside(self) -> None:
        """All others may not, nor one without an address."""
        for address in ("192.0.3.0", "2001:db9::1", "::ffff:8.8.8.8", "unix", ""):
            self.assertFalse(allowed(address, NETWORKS), address)


class NetworksTests(SynchronousTestCase):
    """Who may use the mirror."""

    def admitted(self, client: str, **given: dict[str, Any]) -> str:
        """Empty for a client that is let in, else why not."""
        try:
            Networks(read(given)).admit(client)
        except RegistryError as error:
            self.assertEqual((error.status, error.code, error.cause), (403, "DENIED", "network"))
            return error.message
        return ""

    def test_allow(self) -> None:
        """Both lists let in; without any, everybody is."""
        both = {"server": {"allow": ["192.0.2.0/24"]}, "access": {"allow": ["198.51.100.0/24"]}}
        for client, is_in in (("192.0.2.1", True), ("198.51.100.1", True), ("203.0.113.1", False)):
            self.assertEqual(self.admitted(client, **both) == "", is_in, client)
            self.assertEqual(self.admitted(client), "")
        self.assertIn("ask the operator", self.admitted("203.0.113.1", **both))

    def test_deny(self) -> None:
        """Who is denied is kept out, allowed or not; a mapped address is the same one."""
        deny = {"deny": ["192.0.2.7", "2001:db8:bad::/48"]}
        for given in ({"access": deny}, {"access": {"allow": ["192.0.2.0/24", "2001:db8::/32"], **deny}}):
            for client, is_in in (
                ("192.0.2.7", False),
                ("::ffff:192.0.2.7", False),
                ("2001:db8:bad::1", False),
                ("192.0.2.8", True),
                ("2001:db8::1", True),
            ):
                self.assertEqual(self.admitted(client, **given) == "", is_in, client)

    def test_unknown(self) -> None:
        """A client that no proxy names is kept out by either list, and let in without any."""
        for access in ({"allow": ["192.0.2.0/24"]}, {"deny": ["192.0.2.7"]}):
            self.assertIn("names no client", self.admitted(UNKNOWN, access=access))
        self.assertEqual(self.admitted(UNKNOWN), "")


class RepositoryTests(SynchronousTestCase):
    """What may be pulled of an upstream."""

    def test_within(self) -> None:
        """A pattern has to allow it, where there are any, and none may deny it."""
        allow, deny = ("library/*", "example/a*"), ("library/evil*", "example/a?")
        for repositories, denied, name, is_in in (
            ((), (), "any/thing", True),
            (allow, (), "library/alpine", True),
            (allow, (), "other/alpine", False),
            ((), deny, "other/alpine", True),
            ((), deny, "library/evil-one", False),
            (allow, deny, "library/evil", False),
            (allow, deny, "example/ab", False),
            (allow, deny, "example/abc", True),
        ):
            upstream = UpstreamSettings(
                "a", ("https://a.example",), repositories=repositories, deny_repositories=denied
            )
            self.assertEqual(within(upstream, Repository.parse(name)), is_in, name)

    def test_permit(self) -> None:
        """What may not be pulled is 403 with the reason, and so are lists of all where some may not."""
        for upstream in (
            UpstreamSettings("a", ("https://a.example",), repositories=("library/*",)),
            UpstreamSettings("a", ("https://a.example",), deny_repositories=("secret/*",)),
        ):
            permit(upstream, Kind.MANIFEST, Repository.parse("library/alpine"))
            for kind, repository in (
                (Kind.BLOB, Repository.parse("secret/one")),
                (Kind.CATALOG, None),
                (Kind.V1_SEARCH, None),
            ):
                error = self.assertRaises(RegistryError, permit, upstream, kind, repository)
                self.assertEqual((error.status, error.code, error.cause), (403, "DENIED", "repository"))
                self.assertIn("a itself", error.message)
        permit(UpstreamSettings("a", ("https://a.example",)), Kind.CATALOG, None)
