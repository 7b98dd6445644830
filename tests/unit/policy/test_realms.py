"""Tests for `docxy.policy.realms`."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.realms import RealmRefused, check_realm
from docxy.settings.values import UpstreamSettings

HUB = UpstreamSettings(
    name="docker.io", urls=("https://registry-1.docker.io",), realm="https://auth.docker.io/token"
)
OWN = UpstreamSettings(name="team", urls=("https://near.example", "http://r.lan:5000"))

ALLOWED = (
    (HUB, "https://auth.docker.io/token"),
    (HUB, "https://auth.docker.io/token?offline=1&x=%2f"),
    (HUB, "https://AUTH.docker.io:443/"),
    (HUB, "https://registry-1.docker.io/auth"),
    (OWN, "http://r.lan:5000/auth"),
    (OWN, "https://r.lan:5001/auth"),
)

REFUSED = (
    (HUB, "http://auth.docker.io/token", "not https"),
    (HUB, "https://evil.example/token", "another host"),
    (HUB, "https://login.docker.io/token", "another host"),
    (HUB, "https://docker.io/token", "another host"),
    (HUB, "https://auth.docker.io.evil.example/token", "another host"),
    (HUB, "https://user:hunter2@auth.docker.io/token", "user information"),
    (HUB, "https://auth.docker.io@evil.example/token", "user information"),
    (HUB, "https://auth.docker.io/token#fragment", "a fragment"),
    (HUB, "https://127.0.0.1/token", "another host"),
    (HUB, "https://localhost/token", "another host"),
    (HUB, "/auth/token", "not an http"),
    (HUB, "", "not an http"),
    (HUB, "https://auth.docker.io/\r\nX: y", "control characters"),
    (OWN, "http://near.example/token", "not https"),
    (OWN, "http://r.lan/auth", "not https"),
    (OWN, "http://r.lan:5001/auth", "not https"),
    (OWN, "https://lan/auth", "another host"),
    (OWN, "https://near.example/token", "another host"),
    (OWN, "https://sub.near.example/auth", "another host"),
)


class CheckRealmTests(SynchronousTestCase):
    """Which token servers are asked."""

    def test_allowed(self) -> None:
        """The registry's own host and the pinned realm's are asked, the URL as it was given."""
        for upstream, url in ALLOWED:
            self.assertEqual(check_realm(url, upstream), url)

    def test_refused(self) -> None:
        """Every other is refused, for a reason and with the setting that would help."""
        for upstream, url, problem in REFUSED:
            with self.assertRaises(RealmRefused, msg=url) as caught:
                check_realm(url, upstream)
            text = str(caught.exception)
            self.assertIn(problem, text)
            self.assertIn("realm = ", text)
            self.assertIn(upstream.name, text)

    def test_messages_hold_no_secret(self) -> None:
        """Neither passwords nor queries reach the message."""
        for url in ("https://user:hunter2@x.example/", "https://x.example/?password=hunter2"):
            with self.assertRaises(RealmRefused) as caught:
                check_realm(url, HUB)
            self.assertNotIn("hunter2", str(caught.exception))

    def test_known_registry_under_another_name(self) -> None:
        """The table's realm counts where the URL is that of a known registry, and over TLS only."""
        labs = UpstreamSettings(name="labs", urls=("https://registry.gitlab.com",))
        self.assertEqual(check_realm("https://gitlab.com/jwt/auth", labs), "https://gitlab.com/jwt/auth")
        plain = UpstreamSettings(name="labs", urls=("http://registry.gitlab.com",))
        with self.assertRaises(RealmRefused):
            check_realm("https://gitlab.com/jwt/auth", plain)
        open_registry = UpstreamSettings(name="k8s", urls=("https://registry.k8s.io",))
        with self.assertRaises(RealmRefused):
            check_realm("https://gitlab.com/jwt/auth", open_registry)

    @settings(derandomize=True, max_examples=200)
    @given(st.text(max_size=60) | st.text(max_size=30).map("https://auth.docker.io{}".format))
    def test_hostile_text(self, url: str) -> None:
        """Nothing but our own error escapes."""
        with contextlib.suppress(RealmRefused):
            self.assertEqual(check_realm(url, HUB), url)
