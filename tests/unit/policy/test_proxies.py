"""Tests for `docxy.policy.proxies`."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.addresses import unmapped
from docxy.policy.proxies import client_address, client_scheme, own_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


class ClientAddressTests(SynchronousTestCase):
    """Who the client is."""

    def test_untrusted_peer(self) -> None:
        """A peer that is no trusted proxy is the client, whatever it writes."""
        for peer, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("no address", "unknown"),
        ):
            self.assertEqual(client_address(peer, ["198.51.100.9"], TRUSTED), client)
        self.assertEqual(client_address("10.0.0.1", ["198.51.100.9"], ()), "10.0.0.1")

    def test_chains(self) -> None:
        """The right-most address outside the trusted networks is the client."""
        for lines, client in (
            (["198.51.100.9"], "198.51.100.9"),
            (["6.6.6.6, 198.51.100.9"], "198.51.100.9"),
            (["6.6.6.6, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),
            (["198.51.100.9,10.0.0.2", "10.0.0.3,\tfd00::1"], "198.51.100.9"),
            (["6.6.6.6", "198.51.100.9"], "198.51.100.9"),
            (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
            (["::ffff:198.51.100.9"], "198.51.100.9"),
            (["::ffff:10.0.0.9, ::ffff:10.0.0.8"], "10.0.0.9"),
        ):
            self.assertEqual(client_address("10.0.0.1", lines, TRUSTED), client, lines)

    def test_ports_and_brackets(self) -> None:
        """Ports, brackets and zones around an address are tolerated."""
        for entry, client in (
            ("198.51.100.9:4711", "198.51.100.9"),
            ("[2001:db8::9]:4711", "2001:db8::9"),
            ("[2001:db8::9]", "2001:db8::9"),
            ("2001:db8::9", "2001:db8::9"),
            ("fe80::9%eth0", "fe80::9"),
            ("[198.51.100.9]:1", "198.51.100.9"),
        ):
            self.assertEqual(client_address("10.0.0.1", [entry], TRUSTED), client)

    def test_garbage(self) -> None:
        """A client that no proxy names is unknown, and is not the proxy."""
        for lines in (
            [],
            [""],
            ["unknown"],
            ["198.51.100.9, unknown, 10.0.0.2"],
            ["198.51.100.9,,10.0.0.2"],
            ["198.51.100.9,"],
            ["[198.51.100.9"],
            ["198.51.100.9:port"],
            ["1" * 65],
            ["198.51.100.9\x00"],
        ):
            self.assertEqual(client_address("10.0.0.1", lines, TRUSTED), "unknown", lines)

    def test_unix_peer(self) -> None:
        """A unix socket is trusted, and is not the client where it names nobody."""
        self.assertEqual(client_address(None, ["6.6.6.6, 198.51.100.9"], ()), "198.51.100.9")
        self.assertEqual(client_address(None, [], TRUSTED), "unknown")

    def test_long_chains_are_read_from_their_end(self) -> None:
        """Of an endless chain only the end is read, and the search stops there."""
        self.assertEqual(
            client_address("10.0.0.1", ["6.6.6.6," + "10.0.0.2," * 40 + "10.0.0.3"], TRUSTED), "10.0.0.2"
        )

    @settings(derandomize=True, max_examples=200)
    @given(st.lists(st.text(max_size=30), max_size=4))
    def test_hostile_lines(self, lines: list[str]) -> None:
        """Whatever a proxy relays, the client has an address or is unknown."""
        client = client_address("10.0.0.1", lines, TRUSTED)
        self.assertTrue(client == "unknown" or unmapped(client) is not None)


class OwnAddressTests(SynchronousTestCase):
    """Who may ask for itself."""

    def test_near(self) -> None:
        """This machine and trusted proxies, by their addresses."""
        for peer, own in (
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.8.0.1", "127.8.0.1"),
            ("::1", "::1"),
            (None, "unix"),
        ):
            self.assertEqual(own_address(peer, [], TRUSTED), own)
            self.assertIsNone(own_address(peer, ["198.51.100.9"], TRUSTED))
            self.assertIsNone(own_address(peer, [""], TRUSTED))

    def test_others(self) -> None:
        """Nobody else does."""
        for peer in ("192.0.2.1", "2001:db8::1", "no address"):
            self.assertIsNone(own_address(peer, [], TRUSTED))
        self.assertIsNone(own_address("10.0.0.1", [], ()))


class ClientSchemeTests(SynchronousTestCase):
    """How the client reached the first of us."""

    def test_trusted(self) -> None:
        """The nearest proxy's word stands, in any case."""
        self.assertEqual(client_scheme("10.0.0.1", ["https"], TRUSTED, "http"), "https")
        self.assertEqual(client_scheme("10.0.0.1", ["http"], TRUSTED, "https"), "http")
        self.assertEqual(client_scheme("10.0.0.1", ["http", "HTTPS "], TRUSTED, "http"), "https")
        self.assertEqual(client_scheme("10.0.0.1", ["http, https"], TRUSTED, "http"), "https")
        self.assertEqual(client_scheme(None, ["https"], (), "http"), "https")

    def test_not_said(self) -> None:
        """Without a word that is a scheme our own stands."""
        for lines in ([], [""], ["gopher"], ["https, "], ['https"']):
            self.assertEqual(client_scheme("10.0.0.1", lines, TRUSTED, "http"), "http")

    def test_untrusted(self) -> None:
        """Nobody else's word counts."""
        for peer in ("192.0.2.1", "no address"):
            self.assertEqual(client_scheme(peer, ["https"], TRUSTED, "http"), "http")
