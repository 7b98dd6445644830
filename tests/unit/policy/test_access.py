"""Tests for `docxy.policy.access`."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.access import allowed, shows_secret

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


class AllowedTests(SynchronousTestCase):
    """Who may use the mirror."""

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


class ShowsSecretTests(SynchronousTestCase):
    """Who shows the secret path."""

    def test_paths(self) -> None:
        """It counts as the first segment, or after v2, whole; whatever follows."""
        for path, shown in (
            (b"/secret/v2/", True),
            (b"/secret", True),
            (b"/v2/secret/A//%", True),
            (b"/v2/secret", True),
            (b"/v2/a/secret", False),
            (b"/v1/secret", False),
            (b"/secretx/v2/", False),
            (b"/secre\xe9", False),
            (b"//secret", False),
            (b"secret/v2", False),
            (b"/v2/", False),
            (b"/", False),
            (b"", False),
            (b"*", False),
        ):
            self.assertEqual(shows_secret("secret", path), shown, path)
