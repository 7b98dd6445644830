"""
Tests of the try that `docxy.upstream.fetch` makes after a body broke.
"""

from __future__ import annotations

from docxy.interfaces import UpstreamTimedOut, UpstreamUnreachable
from tests.unit.upstream.rig import CDN, HUB, refused_connection, reply, silent
from tests.unit.upstream.test_fetch_tries import NEAR, SECOND, THIRD, TriesTestCase, in_turn, to_cdn


class AgainTests(TriesTestCase):
    """One more try after a body broke."""

    def test_single_try(self) -> None:
        """It is a GET with what the caller says, on a new connection if a host failed; any answer is told."""
        self.net.serve(HUB, reply(200))
        self.done(self.fetch())
        for status in (206, 404, 429, 503):
            self.net.serve(HUB, reply(status))
            self.assertEqual(self.done(self.again("cdn.example")).status, status)
        self.assertEqual(len(self.net.dialled), 5)
        seen = self.net.seen[1]
        self.assertEqual(
            (seen.method, seen.header("Range"), seen.header("Authorization")),
            ("GET", "bytes=5-", "Bearer t0ken"),
        )
        self.net.unreachable[HUB] = refused_connection()
        self.failed(self.again("cdn.example"), UpstreamUnreachable)
        self.assert_idle()

    def test_kept(self) -> None:
        """Where but an address is avoided kept connections serve again, less those to that address."""
        self.net.place(HUB, SECOND)
        self.net.serve(HUB, reply(206))
        self.done(self.fetch())
        for avoid, dialled in (((), 1), ((THIRD, "2001:db8::7"), 1), ((SECOND,), 2)):
            self.net.advance(1)
            self.assertEqual(self.done(self.again(*avoid)).status, 206)
            self.assertEqual(len(self.net.dialled), dialled, avoid)

    def test_avoid(self) -> None:
        """Addresses and hosts that its caller has seen fail come last, and are remembered."""
        self.net.place(CDN, SECOND, THIRD)
        self.net.serve(HUB, to_cdn)
        self.net.serve(CDN, reply(206))
        found = self.done(self.fetch())
        self.assertEqual(found.address, SECOND)
        found = self.done(self.again(found.host, found.address))
        self.assertEqual((found.address, len(self.net.seen)), (THIRD, 2 + 4))
        self.assertTrue(self.agent.failures.bad("cdn.example"))

    def test_all_addresses_failed(self) -> None:
        """Where every address has failed they take turns."""
        self.net.place(HUB, SECOND, THIRD)
        self.net.serve(HUB, reply(206))
        found: list[str] = []
        for _ in range(5):
            found.append(self.done(self.again(*found)).address)
            self.net.advance(1)
        self.assertEqual(found, [SECOND, THIRD, SECOND, THIRD, SECOND])

    def test_host_that_failed_before(self) -> None:
        """A host that could not be had a try ago is avoided without being told."""
        dead = "https://dead.store.example"
        to_dead = reply(307, location=f"{dead}/x")
        self.net.serve(HUB, in_turn(to_dead, to_dead, to_cdn))
        self.net.unreachable[dead] = refused_connection()
        self.net.serve(CDN, reply(206))
        self.failed(self.again(), UpstreamUnreachable)
        self.assertEqual(self.done(self.again()).host, "cdn.example")

    def test_silence(self) -> None:
        """Each hop has eight seconds; its address is remembered."""
        self.net.serve(HUB, silent)
        waiting = self.again()
        self.net.advance(8)
        self.failed(waiting, UpstreamTimedOut)
        self.assertTrue(self.agent.failures.bad("198.51.100.1"))

    def test_nearer_mirror(self) -> None:
        """A nearer mirror is asked first, without credentials; what it refuses the registry is asked for."""
        self.net.serve(NEAR, reply(404))
        self.net.serve(HUB, reply(206))
        found = self.done(self.again(urls=(NEAR, HUB)))
        self.assertEqual((found.host, self.net.seen[0].header("Authorization")), ("hub.example", None))
        self.net.serve(NEAR, reply(206))
        self.assertEqual(self.done(self.again(urls=(NEAR, HUB))).host, "near.example")

    def test_absent_mirror(self) -> None:
        """A nearer mirror that cannot be had is behind the registry at the next try."""
        self.net.unreachable[NEAR] = refused_connection()
        self.net.serve(HUB, reply(206))
        self.failed(self.again(urls=(NEAR, HUB)), UpstreamUnreachable)
        self.assertEqual(self.done(self.again(urls=(NEAR, HUB))).host, "hub.example")
