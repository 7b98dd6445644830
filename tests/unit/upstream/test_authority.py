"""
Tests of `docxy.upstream.authority`: who gives out tokens, learnt from a registry in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from docxy.interfaces import Authority
from docxy.upstream.authority import RELEARN_AFTER, RETRY_AFTER, AuthoritySource
from tests.unit.upstream.rig import HUB, REALM, Answering, UpstreamTestCase, refused_connection, reply, silent

LEARNT = f"{HUB}/token"


def challenge(*values: str, status: int = 401) -> Answering:
    """A registry that answers a ping with these challenges."""
    return reply(status, b"{}", www_authenticate=values[0]) if values else reply(status, b"{}")


BEARER = challenge(f'Bearer realm="{LEARNT}",service="hub",scope="x"')


class AuthoritySourceTests(UpstreamTestCase):
    def source(self, **changes: Any) -> AuthoritySource:
        """What learns, by default without anything known."""
        unknown: dict[str, Any] = {"realm": None, "service": None}
        return self.side(**(unknown | changes)).authorities

    def learnt(self, answering: Answering, **changes: object) -> Authority:
        """What is made of a registry's answer to the ping."""
        self.net.serve(HUB, answering)
        found = self.done(self.source(**changes).get())
        self.assert_idle()
        return found

    def unknown(self, answering: Answering, **changes: object) -> str:
        """The problem, where nothing could be learnt; the operator is told the same."""
        found = self.learnt(answering, **changes)
        self.assertEqual((found.kind, found.realm), ("unknown", None))
        self.assertIn(found.problem, self.said())
        return found.problem

    def test_built_in(self) -> None:
        """What the settings say in full is never asked for."""
        found = self.done(self.source(realm=REALM, service="hub").get())
        self.assertEqual(found, Authority("bearer", REALM, "hub"))
        self.assertEqual(self.done(self.source(needs_token=False).get()), Authority("none"))
        self.clock.advance(2 * RELEARN_AFTER)
        self.assertEqual(self.net.dialled, [])

    def test_bearer(self) -> None:
        """Realm and service are those of the challenge; no credential is sent to learn them."""
        self.assertEqual(self.learnt(BEARER), Authority("bearer", LEARNT, "hub"))
        (seen,) = self.net.seen
        self.assertEqual((str(seen), seen.header("Authorization")), (f"GET {HUB}/v2/", None))
        self.assertEqual(seen.header("Accept-Encoding"), "identity")

    def test_forms(self) -> None:
        """Forms that registries send are read: no service, an empty or bare one, Basic beside Bearer."""
        for value, service in (
            (f'Bearer realm="{LEARNT}"', None),
            (f'bearer Realm="{LEARNT}",service=""', None),
            (f'Bearer realm="{LEARNT}",service=gcr.io', "gcr.io"),
            (f'Basic realm="x", Bearer realm="{LEARNT}",service="s"', "s"),
        ):
            self.assertEqual(self.learnt(challenge(value)), Authority("bearer", LEARNT, service))

    def test_set_realm(self) -> None:
        """A realm or service that the operator set beats the challenge's, an evil one included."""
        evil = challenge('Bearer realm="https://evil.example/t",service="theirs"')
        self.net.serve(HUB, evil)
        source = self.source(realm=REALM)
        self.assertEqual(self.done(source.get()), Authority("bearer", REALM))
        self.assertEqual(self.done(source.get()), Authority("bearer", REALM, "theirs"))
        self.assertEqual(self.learnt(BEARER, service="ours"), Authority("bearer", LEARNT, "ours"))

    def test_no_tokens(self) -> None:
        """A registry that lets the ping through needs none; one that wants Basic has none."""
        for open_ping in (
            reply(200, b"{}", content_type="application/json; charset=utf-8"),
            reply(200, b"", docker_distribution_api_version="registry/2.0"),
        ):
            self.assertEqual(self.learnt(open_ping), Authority("none"))
        self.assertEqual(self.learnt(challenge('Basic realm="a b"')), Authority("basic", "a b"))

    def test_no_registry(self) -> None:
        """A page of somebody in between teaches nothing; nor does what denies a realm that is set."""
        page = reply(200, b"<html>", content_type="text/html")
        self.assertIn("status 200", self.unknown(page))
        open_ping = reply(200, b"{}", content_type="application/json")
        for answering in (open_ping, challenge('Basic realm="x"')):
            self.net.serve(HUB, answering)
            source = self.source(realm=REALM)
            self.done(source.get())
            self.assertEqual(self.done(source.get()).realm, REALM)

    def test_doubt(self) -> None:
        """One that seemed to need no token and asks for credentials is asked anew, now and then."""
        self.net.serve(HUB, reply(200, b"{}", content_type="application/json"))
        source = self.source()
        self.done(source.get())
        source.doubt()
        self.assertEqual(source.known, Authority("none"))
        self.clock.advance(RETRY_AFTER)
        source.doubt()
        self.net.serve(HUB, BEARER)
        self.assertEqual(self.done(source.get()).kind, "bearer")
        self.clock.advance(RETRY_AFTER)
        source.doubt()
        self.assertEqual(source.known.kind, "bearer")

    def test_evil_realm(self) -> None:
        """A realm elsewhere is refused, and the remedy told."""
        for realm in ("https://evil.example/token?secret", "http://hub.example/token", "/token", ""):
            problem = self.unknown(challenge(f'Bearer realm="{realm}"'))
            self.assertIn('set realm = "https://', problem)
            self.assertNotIn("secret", problem)
        self.assertEqual(set(self.net.dialled), {HUB})

    def test_no_understanding(self) -> None:
        """A 401 without a challenge that is understood, and any other error, leave it unknown."""
        self.assertIn("no challenge", self.unknown(challenge()))
        self.assertIn("no challenge", self.unknown(challenge("Negotiate abc")))
        self.assertIn("status 503", self.unknown(challenge(status=503)))
        self.assertIn("status 404", self.unknown(challenge(status=404)))

    def test_unreachable(self) -> None:
        """It never fails: what the network said is the problem."""
        self.net.unreachable[HUB] = refused_connection()
        found = self.done(self.source().get())
        self.assertEqual(found.kind, "unknown")
        self.assertIn("refused", found.problem)

    def test_silence(self) -> None:
        """A registry that says nothing is not waited for longer than clients wait for a ping."""
        self.net.serve(HUB, silent)
        waiting = self.source().get()
        self.net.advance(8)
        self.net.advance(2)
        self.assertIn("within 10 s", self.done(waiting).problem)
        self.assert_idle()

    def test_asked_once(self) -> None:
        """All who wait share one ping, and those who come later what it told."""
        self.net.serve(HUB, BEARER)
        source = self.source()
        waiting = [source.get() for _ in range(3)]
        self.assertEqual({self.done(each).realm for each in waiting}, {LEARNT})
        self.done(source.get())
        self.assertEqual(len(self.net.seen), 1)

    def test_leaving(self) -> None:
        """The last one who waits ends the ping by leaving."""
        self.net.serve(HUB, silent)
        source = self.source()
        waiting = [source.get() for _ in range(2)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.net.advance()
        self.assertEqual(len(self.net.open_connections()), 1)
        waiting[1].cancel()
        self.failureResultOf(waiting[1], CancelledError)
        self.assert_idle()
        self.assertEqual(self.net.open_connections(), [])

    def test_tried_again(self) -> None:
        """What could not be learnt is asked for again, but not at once."""
        self.net.serve(HUB, reply(503))
        source = self.source()
        for _ in range(3):
            self.assertEqual(self.done(source.get()).kind, "unknown")
        self.assertEqual(len(self.net.seen), 2)  # one ping has two tries
        self.net.serve(HUB, BEARER)
        self.net.advance(RETRY_AFTER)
        self.assertEqual(self.done(source.get()).kind, "bearer")

    def test_relearnt(self) -> None:
        """After an hour it is asked for once more in the background; meanwhile the old answer stands."""
        self.net.serve(HUB, BEARER)
        source = self.source()
        self.done(source.get())
        self.net.serve(HUB, challenge(f'Bearer realm="{LEARNT}2",service="new"'))
        self.net.advance(RELEARN_AFTER - 1)
        self.done(source.get())
        self.assertEqual(len(self.net.seen), 1)
        self.net.advance(1)
        for _ in range(3):
            self.assertEqual(self.successResultOf(source.get()), Authority("bearer", LEARNT, "hub"))
        self.net.advance()
        self.assertEqual(len(self.net.seen), 2)
        self.assertEqual(self.done(source.get()), Authority("bearer", f"{LEARNT}2", "new"))

    def test_old_one_kept(self) -> None:
        """Where relearning fails or meets an evil realm, the old answer stays, for an hour again."""
        self.net.serve(HUB, BEARER)
        source = self.source()
        known = self.done(source.get())
        evil = challenge('Bearer realm="https://evil.example/t"')
        for bad, tries in ((reply(500), 2), (evil, 1), (silent, 2)):
            self.net.serve(HUB, bad)
            self.net.advance(RELEARN_AFTER)
            before = len(self.net.seen)
            for _ in range(3):
                self.assertEqual(self.done(source.get()), known)
            self.net.advance(8)
            self.net.advance(2)
            self.assertEqual(self.done(source.get()), known)
            self.assertEqual(len(self.net.seen), before + tries)
        self.assertIn("evil.example", self.said())
