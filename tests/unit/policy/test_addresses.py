"""Tests for `docxy.policy.addresses`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.addresses import bucket, check_address, inside, networks, unmapped
from docxy.settings.values import NetworkSettings, UpstreamSettings

HUB = UpstreamSettings(name="docker.io", urls=("https://registry-1.docker.io",))

PUBLIC = (
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "168.63.129.15",
    "2000::1",
    "2600:9000::1",
    "2a00:1450::1",
    "2001:200::1",
    "::ffff:8.8.8.8",
    "::8.8.8.8",
)

REFUSED = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2600:9000::1%eth0",
    "fec0::1",
    "ff02::1",
)

NO_ADDRESS = (
    "",
    "localhost",
    "1.2.3",
    "0x7f.0.0.1",
    "127.0.0.1:80",
    "[::1]",
    "1.2.3.4 ",
    "01.2.3.4",
    "::1/64",
    "\x00",
)


class CheckAddressTests(SynchronousTestCase):
    """Where connections may go."""

    def test_public(self) -> None:
        """Public addresses are met, those next to refused networks among them."""
        for address in PUBLIC:
            self.assertTrue(check_address(address, host="cdn.example", upstream=HUB), address)

    def test_not_public(self) -> None:
        """Every special-purpose address is refused, in whatever form it hides."""
        for address in REFUSED:
            self.assertFalse(check_address(address, host="cdn.example", upstream=HUB), address)

    def test_no_address(self) -> None:
        """What is no address is refused, even for a trusted host."""
        trusting = UpstreamSettings(name="x", urls=("https://x",), trusted_hosts=frozenset({"x"}))
        for text in NO_ADDRESS:
            self.assertFalse(check_address(text, host="x", upstream=trusting), text)

    def test_trusted_host(self) -> None:
        """A host that the settings name in full may be anywhere; its neighbours may not."""
        local = UpstreamSettings(name="x", urls=("https://r.lan",), trusted_hosts=frozenset({"r.lan"}))
        for address in ("10.1.2.3", "127.0.0.1", "fe80::1%eth0", "::1"):
            self.assertTrue(check_address(address, host="R.lan", upstream=local), address)
            self.assertFalse(check_address(address, host="sub.r.lan", upstream=local), address)

    def test_allowed_networks(self) -> None:
        """Networks of ``network.allow`` are met under any name, also in their mapped form."""
        networks = (ip_network("198.18.0.0/16"), ip_network("fd00::/8"))
        fake = UpstreamSettings(name="x", urls=("https://x",), network=NetworkSettings(allow=networks))
        for address in ("198.18.3.4", "::ffff:198.18.3.4", "fd00::5"):
            self.assertTrue(check_address(address, host="cdn.example", upstream=fake), address)
        for address in ("198.19.0.1", "fc00::1", "10.0.0.1"):
            self.assertFalse(check_address(address, host="cdn.example", upstream=fake), address)

    @settings(derandomize=True, max_examples=200)
    @given(st.ip_addresses(v=4))
    def test_mapped_forms_are_judged_alike(self, address: IPv4Address) -> None:
        """Dressing an IPv4 address as IPv6 never opens a way to it."""
        plain = check_address(str(address), host="h", upstream=HUB)
        self.assertEqual(check_address(f"::ffff:{address}", host="h", upstream=HUB), plain)
        self.assertEqual(check_address(f"::{address}", host="h", upstream=HUB), plain)

    @settings(derandomize=True, max_examples=200)
    @given(st.ip_addresses())
    def test_never_wider_than_python(self, address: IPv4Address | IPv6Address) -> None:
        """What Python's own tables call private, loopback or link-local is never met."""
        plain = unmapped(str(address)) or address
        if check_address(str(address), host="h", upstream=HUB):
            self.assertFalse(
                plain.is_private or plain.is_loopback or plain.is_link_local or plain.is_multicast
            )

    @settings(derandomize=True, max_examples=200)
    @given(st.text(max_size=40))
    def test_hostile_text(self, text: str) -> None:
        """No text makes the judgement fail."""
        self.assertIn(check_address(text, host=text, upstream=HUB), (True, False))


class UnmappedTests(SynchronousTestCase):
    """Addresses in their plainest form."""

    def test_forms(self) -> None:
        """Only the forms that stand for an IPv4 address become one."""
        for text, plain in (
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::1.2.3.4", "1.2.3.4"),
            ("::", "::"),
            ("::1", "::1"),
            ("::2", "0.0.0.2"),
            ("2002:102:304::", "2002:102:304::"),
            ("FE80::1%eth0", "fe80::1%eth0"),
        ):
            self.assertEqual(str(unmapped(text)), plain)

    def test_no_address(self) -> None:
        """Anything else is None."""
        for text in NO_ADDRESS:
            self.assertIsNone(unmapped(text), text)


class InsideTests(SynchronousTestCase):
    """Membership in networks."""

    def test_families(self) -> None:
        """A network holds no address of the other family."""
        networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
        self.assertTrue(inside(IPv4Address("10.9.9.9"), networks))
        self.assertTrue(inside(IPv6Address("fd00::1"), networks))
        self.assertFalse(inside(IPv6Address("::a00:1"), networks))
        self.assertFalse(inside(IPv4Address("11.0.0.0"), ()))


class BucketTests(SynchronousTestCase):
    """How clients are counted."""

    def test_buckets(self) -> None:
        """IPv4 stands for itself, IPv6 for its /64, None for the unix socket; all who are unknown are one."""
        for address, key in (
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::1", "::/64"),
            ("unknown", "unknown"),
            ("", "unknown"),
            (None, "unix"),
        ):
            self.assertEqual(bucket(address), key)

    def test_networks(self) -> None:
        """An IPv6 client's connections are those of its /48 too."""
        for address, keys in (
            ("192.0.2.7", ("192.0.2.7",)),
            ("::ffff:192.0.2.7", ("192.0.2.7",)),
            ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/48")),
            ("no address", ("unknown",)),
        ):
            self.assertEqual(networks(address), keys)
