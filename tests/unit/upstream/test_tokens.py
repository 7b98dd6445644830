"""
Tests of `docxy.upstream.tokens`: what is relayed for clients, and whose tokens are known.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from docxy.interfaces import (
    ITokenSource,
    UpstreamBroken,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from docxy.oci.scopes import PLACEHOLDER
from docxy.upstream.tokens import MAX_ANSWER
from tests.unit.upstream.rig import (
    CDN,
    HUB,
    REALM,
    refused_connection,
    reply,
    silent,
)
from tests.unit.upstream.token_rig import ALPINE, BASIC, ORIGIN, TokensTestCase, asked


class RelayTests(TokensTestCase):
    def test_interface(self) -> None:
        """It is a token source as the mirror knows it."""
        self.assertTrue(verifyObject(ITokenSource, self.tokens))

    def test_scopes(self) -> None:
        """No scope, one and three reach upstream as they are, each as its own parameter."""
        three = (ALPINE, "repository:a/b:pull,push", "repository:a/b:8/c:pull")
        for scopes in ((), (ALPINE,), three):
            self.relay(asked(*scopes))
            self.assertEqual(self.query(), [("service", "hub"), *(("scope", scope) for scope in scopes)])
        self.assertEqual({seen.method for seen in self.net.seen}, {"GET"})
        self.assertEqual(self.net.seen[-1].url.partition("?")[0], REALM)

    def test_realm_with_query(self) -> None:
        """A realm's own query is kept, and added to."""
        side = self.side(realm=f"{ORIGIN}/t?upstream=x")
        self.relay(asked(ALPINE), side)
        self.assertEqual(self.query(), [("upstream", "x"), ("service", "hub"), ("scope", ALPINE)])

    def test_service(self) -> None:
        """Upstream's service is sent, whatever the client echoed; the client's where none is known."""
        self.relay(asked(service="ours", authorization=BASIC))
        self.assertEqual(self.query(), [("service", "hub")])
        self.net.serve(HUB, reply(401, www_authenticate=f'Bearer realm="{REALM}"'))
        self.relay(asked(service="echoed", authorization=BASIC), self.side(service=None))
        sent = [parse_qsl(seen.url.partition("?")[2]) for seen in self.net.seen if REALM in seen.url]
        self.assertEqual(sent, [[("service", "hub")], [("service", "echoed")]])

    def test_credentials(self) -> None:
        """Basic credentials reach the pinned realm with every parameter, and upstream's answer the client."""
        body = b'{"access_token":"alices","refresh_token":"r","expires_in":5}'
        self.net.serve(ORIGIN, reply(200, body, content_type="application/json"))
        params = (("account", "alice"), ("client_id", "docker"), ("offline_token", "true"), ("empty", ""))
        found = self.relay(asked(ALPINE, params=params, authorization=BASIC))
        self.assertEqual(self.query(), [*params, ("service", "hub"), ("scope", ALPINE)])
        self.assertEqual(self.net.seen[-1].header("Authorization"), BASIC.decode())
        self.assertEqual((found.status, found.body), (200, body))
        self.assertEqual(
            found.headers, ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))
        )
        self.assertEqual(self.net.dialled, [ORIGIN])

    def test_evil_realm(self) -> None:
        """Where upstream names a realm elsewhere, nobody's credentials are sent at all."""
        self.net.serve(HUB, reply(401, www_authenticate='Bearer realm="https://evil.example/t"'))
        side = self.side(realm=None, service=None)
        for form in (False, True):
            waiting = side.tokens.relay(asked(ALPINE, authorization=BASIC, form=form))
            self.refused(waiting, "token server is not known")
        self.assertEqual(self.net.dialled, [HUB])

    def test_statuses(self) -> None:
        """Refusals are relayed as they are: clients learn from 400, 404 and 405 to use GET."""
        for status in (400, 401, 403, 404, 405, 429, 503):
            self.net.serve(ORIGIN, reply(status, b'{"errors":[]}', retry_after="7", set_cookie="c=1"))
            for request in (asked(ALPINE), asked(ALPINE, authorization=BASIC), asked(form=True)):
                found = self.relay(request)
                self.assertEqual((found.status, found.body), (status, b'{"errors":[]}'))
                self.assertIn((b"Retry-After", b"7"), found.headers)
                self.assertIn((b"Cache-Control", b"no-store"), found.headers)
                self.assertNotIn(b"set-cookie", [name.lower() for name, _ in found.headers])

    def test_untyped_answer(self) -> None:
        """An answer always has one type."""
        raw = self.net.raw(ORIGIN)
        waiting = self.tokens.relay(asked(ALPINE))
        raw.connections[0].say(b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\n{}")
        self.assertEqual(self.done(waiting).headers[0], (b"Content-Type", b"application/json"))

    def test_post_password(self) -> None:
        """A form's fields pass in order, with upstream's service and one scope of all."""
        params = (
            ("grant_type", "password"),
            ("username", "alice"),
            ("password", "s3 cret&ü"),
            ("client_id", "c"),
        )
        self.relay(asked("repository:a:pull", "repository:b:pull", params=params, service="x", form=True))
        (seen,) = self.net.seen
        self.assertEqual(str(seen), f"POST {REALM}")
        self.assertEqual(seen.header("Content-Type"), "application/x-www-form-urlencoded")
        self.assertEqual(
            parse_qsl(seen.body.decode()),
            [*params, ("service", "hub"), ("scope", "repository:a:pull repository:b:pull")],
        )
        self.assertEqual(seen.header("Content-Length"), str(len(seen.body)))
        self.assert_idle()

    def test_post_refresh(self) -> None:
        """A refresh token's form may have no scope, and a Basic header goes along."""
        params = (("grant_type", "refresh_token"), ("refresh_token", "s3cret"))
        self.relay(asked(params=params, authorization=BASIC, form=True))
        (seen,) = self.net.seen
        self.assertEqual(parse_qsl(seen.body.decode()), [*params, ("service", "hub")])
        self.assertEqual(seen.header("Authorization"), BASIC.decode())
        self.assertNotIn("s3cret", self.said() + repr(asked(params=params)))

    def test_too_large(self) -> None:
        """An answer over one mebibyte is none, and one of just that size is relayed."""
        self.net.serve(ORIGIN, reply(200, b"x" * MAX_ANSWER))
        self.assertEqual(len(self.relay(asked(authorization=BASIC)).body), MAX_ANSWER)
        self.net.serve(ORIGIN, reply(200, b"x" * (MAX_ANSWER + 1)))
        self.refused(self.tokens.relay(asked(authorization=BASIC)), "larger than")
        self.refused(self.tokens.relay(asked(ALPINE)), "larger than")
        self.assert_idle()

    def test_compressed(self) -> None:
        """A compressed answer is none, for it could unpack to gigabytes."""
        self.net.serve(ORIGIN, reply(200, b"\x1f\x8b", content_encoding="gzip"))
        self.refused(self.tokens.relay(asked(authorization=BASIC)), "compressed")
        self.assertEqual(self.net.seen[0].header("Accept-Encoding"), "identity")

    def test_redirect(self) -> None:
        """A token server's redirect is not followed, with or without credentials."""
        self.net.serve(ORIGIN, reply(307, location=f"{CDN}/t"))
        for request in (asked(ALPINE), asked(authorization=BASIC), asked(form=True)):
            self.refused(self.tokens.relay(request), "redirects")
        self.assertEqual(self.net.dialled, [ORIGIN])

    def test_cookies(self) -> None:
        """A token server's cookie travels to no later request."""
        self.net.serve(ORIGIN, reply(401, set_cookie="session=1; Path=/"))
        for _ in range(2):
            self.relay(asked(authorization=BASIC))
        self.assertEqual([seen.header("Cookie") for seen in self.net.seen], [None, None])

    def test_broken(self) -> None:
        """A token server that cannot be met, or breaks off, is an error of ours."""
        self.net.unreachable[ORIGIN] = refused_connection()
        self.failed(self.tokens.relay(asked(ALPINE)), UpstreamUnreachable)
        self.net.unreachable.clear()
        raw = self.net.raw(ORIGIN)
        for number, said in enumerate((b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")):
            waiting = self.tokens.relay(asked(ALPINE))
            raw.connections[number].say(said)
            raw.connections[number].end()
            self.failed(waiting, UpstreamBroken)
        self.assert_idle()

    def test_silence(self) -> None:
        """Ten seconds are all that a client waits, for any kind of request; nothing is left behind."""
        self.net.serve(ORIGIN, silent)
        for request in (asked(ALPINE), asked(authorization=BASIC), asked(form=True)):
            waiting = self.tokens.relay(request)
            self.net.advance(9.9)
            self.assertNoResult(waiting)
            self.net.advance(0.1)
            self.assertIn("within 10 s", str(self.failed(waiting, UpstreamTimedOut)))
            self.assertEqual(self.net.open_connections(), [])
            self.assert_idle()

    def test_leaving(self) -> None:
        """A client that leaves ends its request, without a word in the log."""
        raw = self.net.raw(ORIGIN)
        for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"):
            for request in (asked(ALPINE), asked(authorization=BASIC), asked(form=True)):
                waiting = self.tokens.relay(request)
                raw.connections[-1].say(said)
                self.net.advance()
                waiting.cancel()
                self.failureResultOf(waiting, CancelledError)
                self.assert_idle()
                self.assertEqual(self.net.open_connections(), [])
        self.assertEqual(self.said(), "")

    def test_upstreams_without_tokens(self) -> None:
        """Where no token is needed a placeholder is given; where Basic rules there is no token server."""
        for side in (self.side(needs_token=False), self.side(auth="own")):
            answer = self.got(asked(ALPINE, authorization=BASIC), side)
            self.assertEqual((answer["token"], answer["access_token"]), (PLACEHOLDER, PLACEHOLDER))
        self.net.serve(HUB, reply(401, www_authenticate='Basic realm="x"'))
        found = self.relay(asked(ALPINE, authorization=BASIC), self.side(realm=None, service=None))
        self.assertEqual((found.status, json.loads(found.body)["errors"][0]["code"]), (404, "UNSUPPORTED"))
        self.assertEqual(self.net.transcript(), [f"GET {HUB}/v2/"])


class LedgerTests(TokensTestCase):
    def test_credential(self) -> None:
        """Our anonymous tokens are known by that name; a client's own credential has none."""
        self.got(asked(ALPINE))
        self.got(asked(ALPINE, authorization=BASIC))
        known = [
            self.tokens.credential(value) for value in (None, b"Bearer t1", b"Bearer t2", BASIC, b"Bearer x")
        ]
        self.assertEqual(known, [None, "anonymous", None, None, None])

    def test_no_credential(self) -> None:
        """Without a token one pulls anonymously, where no token is needed; elsewhere one is challenged."""
        for side in (self.side(needs_token=False), self.side(auth="own")):
            self.assertEqual(side.tokens.credential(None), "anonymous")
        self.assertIsNone(self.tokens.credential(None))

    def test_foreign(self) -> None:
        """A token that another upstream gave is known to be its, however it was got; others are not."""
        other = self.side(self.ours.ledger, name="other.example")
        self.got(asked(ALPINE))
        self.got(asked(ALPINE, authorization=BASIC))
        self.got(asked(ALPINE, form=True))
        values = (b"Bearer t1", b"BEARER  t2", b"Bearer t3", b"Bearer t4", BASIC, b"")
        self.assertEqual(
            [other.tokens.foreign(value) for value in values], [True, True, True, False, False, False]
        )
        self.assertEqual([self.tokens.foreign(value) for value in values], [False] * 6)
