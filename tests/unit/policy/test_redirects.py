"""Tests for `docxy.policy.redirects`."""

from __future__ import annotations

from urllib.parse import urljoin

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.origins import MAX_URL
from docxy.policy.redirects import MAX_HOPS, Hop, RedirectRefused, next_hop
from docxy.settings.values import UpstreamSettings

HUB = UpstreamSettings(
    name="docker.io",
    urls=("https://registry-1.docker.io",),
    redirects=(
        "*.docker.com",
        "storage.example",
        "cdn.example:8443",
        "192.0.2.7",
        "[2001:db8::7]",
        "*.0.0.1",
    ),
)
LAN = UpstreamSettings(name="lan", urls=("https://near.example", "http://r.lan:5000"), redirects=("CDN.lan",))

BLOB = "https://registry-1.docker.io/v2/library/alpine/blobs/sha256:aa?x=1"

FOLLOWED = (
    (HUB, BLOB, "https://production.cloudfront.docker.com/d?Sig=a%2Bb/~%7e&&=", False),
    (HUB, BLOB, "https://a.b.docker.com:443/d", False),
    (HUB, BLOB, "https://STORAGE.example/d", False),
    (HUB, BLOB, "https://storage.example:444/d", False),
    (HUB, BLOB, "https://cdn.example:8443/d", False),
    (HUB, BLOB, "https://192.0.2.7/d", False),
    (HUB, BLOB, "https://[2001:db8:0::7]:9/d", False),
    (HUB, BLOB, "https://registry-1.docker.io/other", True),
    (HUB, BLOB, "https://registry-1.docker.io:443/other", True),
    (HUB, BLOB, "https://REGISTRY-1.docker.io/other", True),
    (LAN, "http://r.lan:5000/v2/x", "http://r.lan:5000/y", True),
    (LAN, "https://near.example/v2/x", "https://cdn.lan/y", False),
)

REFUSED = (
    ("http://production.cloudfront.docker.com/d", "not https"),
    ("http://registry-1.docker.io/d", "not https"),
    ("https://evil.example/d", "redirects = "),
    ("https://docker.com/d", "redirects = "),
    ("https://evildocker.com/d", "redirects = "),
    ("https://.docker.com/d", "unusable"),
    ("https://docker.com.evil.example/d", "redirects = "),
    ("https://sub.storage.example/d", "redirects = "),
    ("https://cdn.example/d", "redirects = "),
    ("https://cdn.example:8444/d", "redirects = "),
    ("https://127.0.0.1/d", "redirects = "),
    ("https://10.0.0.1/d", "redirects = "),
    ("https://[::1]/d", "redirects = "),
    ("https://user:pw@registry-1.docker.io/d", "user information"),
    ("https://registry-1.docker.io@evil.example/d", "user information"),
    ("//evil.example/d", "redirects = "),
    ("ftp://registry-1.docker.io/d", "unusable"),
    ("file:///etc/passwd", "unusable"),
    ("sha256:aa", "unusable"),
    ("https:/d", "unusable"),
    ("https:///d", "unusable"),
    ("", "no Location"),
    (None, "no Location"),
    ("#top", "no Location"),
    ("/a b", "control characters"),
    ("/a\r\nHost: evil", "control characters"),
    ("/a\\b", "control characters"),
    ("/é", "non-ASCII"),
    ("/" + "a" * MAX_URL, "8 KiB"),
)

# Reference, and what it becomes from https://registry-1.docker.io/a/b/c?q=1
RESOLVED = (
    ("/x/y?z=%2F%2f", "/x/y?z=%2F%2f"),
    ("/x/../y", "/x/../y"),
    ("/x#fragment?no", "/x"),
    ("//registry-1.docker.io/x?", "/x?"),
    ("?r=2", "/a/b/c?r=2"),
    ("d", "/a/b/d"),
    ("d/e?f=../g", "/a/b/d/e?f=../g"),
    ("./d", "/a/b/d"),
    ("./sha256:aa", "/a/b/sha256:aa"),
    ("../d", "/a/d"),
    ("../../../../d", "/d"),
    (".", "/a/b/"),
    ("..", "/a/"),
    ("d/.", "/a/b/d/"),
    ("d/?e", "/a/b/d/?e"),
    ("d//e", "/a/b/d//e"),
)


class NextHopTests(SynchronousTestCase):
    """Which redirects are followed."""

    def test_followed(self) -> None:
        """Allowed hosts are met, the URL byte for byte, and a change of origin is told."""
        for upstream, current, location, same in FOLLOWED:
            self.assertEqual(next_hop(current, location, upstream, 0), Hop(location, same))

    def test_refused(self) -> None:
        """Everything else is refused, for a reason."""
        for location, problem in REFUSED:
            with self.assertRaises(RedirectRefused, msg=location) as caught:
                next_hop(BLOB, location, HUB, 0)
            self.assertIn(problem, str(caught.exception))

    def test_other_ports(self) -> None:
        """Another port of a host is another service: it has to be named, and no wildcard means it."""
        for location in ("https://a.b.docker.com:8443/d", "https://registry-1.docker.io:444/other"):
            with self.assertRaises(RedirectRefused):
                next_hop(BLOB, location, HUB, 0)

    def test_never_down_from_https(self) -> None:
        """The plain origin that the settings name is reached by its own redirects, not by an https one."""
        with self.assertRaises(RedirectRefused) as caught:
            next_hop("https://near.example/v2/x", "http://r.lan:5000/y", LAN, 0)
        self.assertIn("not https", str(caught.exception))

    def test_remedy(self) -> None:
        """A host that is not listed is named, with the setting to add it to."""
        with self.assertRaises(RedirectRefused) as caught:
            next_hop(BLOB, "https://new-cdn.example/d", HUB, 0)
        self.assertEqual(
            str(caught.exception),
            "redirect to https://new-cdn.example/d is refused: new-cdn.example is not among the hosts of "
            'upstream docker.io; if it is right, add it to its redirects = ["…"]',
        )

    def test_wildcards_match_no_address(self) -> None:
        """A wildcard whose suffix looks like an address's end exempts no address."""
        with self.assertRaises(RedirectRefused):
            next_hop(BLOB, "https://127.0.0.1/", HUB, 0)

    def test_messages_hold_no_query(self) -> None:
        """Signatures reach no message, neither the current URL's nor the target's."""
        current = "https://registry-1.docker.io/a?token=hunter2"
        for location in (
            "https://evil.example/d?sig=hunter2",
            "http://evil.example/d?sig=hunter2",
            "ftp://evil.example/d?sig=hunter2",
            "https://hunter2@registry-1.docker.io/",
            None,
        ):
            with self.assertRaises(RedirectRefused) as caught:
                next_hop(current, location, HUB, 0)
            self.assertNotIn("hunter2", str(caught.exception))
        with self.assertRaises(RedirectRefused) as caught:
            next_hop(current, "/", HUB, MAX_HOPS)
        self.assertNotIn("hunter2", str(caught.exception))

    def test_relative(self) -> None:
        """A relative Location is resolved against the current URL, its query untouched."""
        current = "https://registry-1.docker.io/a/b/c?q=1"
        for location, path in RESOLVED:
            hop = next_hop(current, location, HUB, 0)
            self.assertEqual(hop, Hop("https://registry-1.docker.io" + path, True))

    def test_relative_to_the_cdn(self) -> None:
        """The second of two hops is relative to the first one's host."""
        hop = next_hop("https://cdn.example:8443/a/b?c", "../d", HUB, 1)
        self.assertEqual(hop, Hop("https://cdn.example:8443/d", True))

    def test_current_without_a_path(self) -> None:
        """A current URL that is an origin alone has the root as its directory."""
        for location, url in (
            ("d", "https://registry-1.docker.io/d"),
            ("?d", "https://registry-1.docker.io/?d"),
        ):
            self.assertEqual(next_hop("https://registry-1.docker.io", location, HUB, 0).url, url)

    def test_loop(self) -> None:
        """Five redirects are followed, a sixth is not."""
        url = BLOB
        for hops in range(MAX_HOPS):
            url = next_hop(url, BLOB, HUB, hops).url
        with self.assertRaises(RedirectRefused):
            next_hop(url, BLOB, HUB, MAX_HOPS)

    @settings(derandomize=True, max_examples=200)
    @given(st.lists(st.sampled_from(["a", "b", ".", "..", "%2e"]), min_size=1, max_size=6).map("/".join))
    def test_agrees_with_the_standard_library(self, location: str) -> None:
        """Relative paths are resolved as urllib resolves them."""
        current = "https://registry-1.docker.io/a/b/c"
        self.assertEqual(next_hop(current, location, HUB, 0).url, urljoin(current, location))

    @settings(derandomize=True, max_examples=300)
    @given(st.text(max_size=40) | st.text("./?#:@[]a\\%", max_size=20).map("//registry-1.docker.io{}".format))
    def test_hostile_text(self, location: str) -> None:
        """Nothing but our own error escapes, and no host but the allowed one is met."""
        try:
            hop = next_hop(BLOB, location, HUB, 0)
        except RedirectRefused:
            return
        self.assertTrue(hop.url.lower().startswith("https://registry-1.docker.io"))
