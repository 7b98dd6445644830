"""
Tests of the tokens that `docxy.upstream.tokens` keeps: nobody's, and those of docxy's own account.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import CancelledError

from docxy.interfaces import (
    UpstreamTimedOut,
)
from docxy.oci.scopes import PLACEHOLDER, Scope
from tests.unit.upstream.rig import (
    HUB,
    Side,
    account,
    reply,
    silent,
)
from tests.unit.upstream.token_rig import ALPINE, BASIC, ORIGIN, TokensTestCase, asked, token_server


class AnonymousTests(TokensTestCase):
    def test_shared(self) -> None:
        """Who asks for the same scopes gets the same token, in whatever order they are."""
        a, b = "repository:a:pull", "repository:b:pull"
        found = [self.got(asked(*scopes))["token"] for scopes in ((a, b), (b, a), (a, b), (a,))]
        self.assertEqual(found, ["t1", "t1", "t1", "t2"])

    def test_coalesced(self) -> None:
        """All who ask at once wait for one request; one that leaves does not end it."""
        waiting = [self.tokens.relay(asked(ALPINE)) for _ in range(4)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        bodies = {self.done(each).body for each in waiting[1:]}
        self.assertEqual((len(bodies), len(self.net.seen)), (1, 1))

    def test_a_stuck_request_ends(self) -> None:
        """A request without an answer ends in its time, though there is always somebody waiting."""
        self.net.serve(ORIGIN, silent)
        first = self.tokens.relay(asked(ALPINE))
        self.net.advance(6)
        second = self.tokens.relay(asked(ALPINE))
        self.net.advance(4)
        for waiting in (first, second):
            self.failed(waiting, UpstreamTimedOut)
        self.net.serve(ORIGIN, token_server())
        self.assertEqual(self.got(asked(ALPINE))["token"], "t1")

    def test_harmless_parameters(self) -> None:
        """The client's name changes nothing; any other parameter makes a request of its own, never kept."""
        for params, token in (
            ((("client_id", "c"), ("account", "a")), "t1"),
            ((), "t1"),
            ((("offline_token", "true"),), "t2"),
            ((("offline_token", "true"),), "t3"),
        ):
            self.assertEqual(self.got(asked(ALPINE, params=params))["token"], token)
        self.assertNotIn(("client_id", "c"), self.query())

    def test_rewritten(self) -> None:
        """Both names hold the token, the life is what is left of it, and it begins now."""
        self.assertEqual(
            self.got(asked(ALPINE)),
            {"token": "t1", "access_token": "t1", "expires_in": 300, "issued_at": "2027-01-15T08:00:00Z"},
        )
        self.net.advance(100.5)
        self.assertEqual(
            self.got(asked(ALPINE)),
            {"token": "t1", "access_token": "t1", "expires_in": 199, "issued_at": "2027-01-15T08:01:40Z"},
        )

    def test_first_half_of_life(self) -> None:
        """A token is handed out in the first half of its life, and then a new one asked for."""
        self.got(asked(ALPINE))
        self.net.advance(149)
        self.assertEqual(self.got(asked(ALPINE))["token"], "t1")
        self.net.advance(1)
        self.assertEqual(self.got(asked(ALPINE))["token"], "t2")

    def test_short_lives(self) -> None:
        """None is handed out with less than a minute left; what says nothing of its life has a minute."""
        for life, reused_at in ((100, 40), (60, 0)):
            self.net.serve(ORIGIN, token_server(life))
            self.tokens = (side := self.side()).tokens
            self.got(asked(ALPINE), side)
            self.net.advance(reused_at)
            again = self.got(asked(ALPINE), side)
            self.assertEqual((again["token"], again["expires_in"]), ("t1", 60))
            self.net.advance(1)
            self.assertEqual(self.got(asked(ALPINE), side)["token"], "t2")
        self.net.serve(ORIGIN, reply(200, b'{"token":"x"}'))
        self.assertEqual(self.got(asked(ALPINE), self.side())["expires_in"], 60)

    def test_old_when_it_came(self) -> None:
        """A token that a cache on the way had kept is as old as it says."""
        self.net.serve(ORIGIN, token_server(issued_at="2027-01-15T07:58:20Z"))
        self.assertEqual(self.got(asked(ALPINE))["expires_in"], 200)
        self.net.advance(50)
        self.assertEqual(self.got(asked(ALPINE))["token"], "t2")

    def test_clocks_that_disagree(self) -> None:
        """A birth in the future, and one so long ago that the token were dead, say nothing."""
        for issued_at in ("2027-01-15T09:00:00Z", "2027-01-15T07:00:00Z", "yesterday"):
            self.net.serve(ORIGIN, token_server(issued_at=issued_at))
            side = self.side()
            self.assertEqual(self.got(asked(ALPINE), side)["expires_in"], 300)
            self.assertEqual(self.got(asked(ALPINE), side)["token"], "t1")

    def test_nearly_dead_when_it_came(self) -> None:
        """The rest of a life is told as a minute at least, and not kept."""
        self.net.serve(ORIGIN, token_server(issued_at="2027-01-15T07:55:10Z"))
        self.assertEqual(self.got(asked(ALPINE))["expires_in"], 60)
        self.assertEqual(self.got(asked(ALPINE))["token"], "t2")

    def test_not_kept(self) -> None:
        """Refusals and answers without a token are nobody's memory."""
        for status, body in ((401, b"{}"), (200, b"{}"), (200, b"no JSON"), (200, b'{"token":"a b"}')):
            self.net.serve(ORIGIN, reply(status, body))
            for _ in range(2):
                self.net.seen.clear()
                found = self.relay(asked(ALPINE))
                self.assertEqual((found.status, found.body, len(self.net.seen)), (status, body, 1))

    def test_with_credentials(self) -> None:
        """A token got with credentials is kept for nobody, its owner included."""
        tokens = [self.got(asked(ALPINE, authorization=BASIC))["token"] for _ in range(2)]
        tokens.append(self.got(asked(ALPINE))["token"])
        tokens.append(self.got(asked(ALPINE, authorization=BASIC))["token"])
        self.assertEqual(tokens, ["t1", "t2", "t3", "t4"])

    def test_forms_are_not_shared(self) -> None:
        """Neither is one got by a form, though it bore no credentials."""
        tokens = [self.got(asked(ALPINE, form=form))["token"] for form in (True, True, False)]
        self.assertEqual(tokens, ["t1", "t2", "t3"])

    def test_bounded(self) -> None:
        """A thousand scope sets are kept, the oldest leaves first; a giant token is kept for nobody."""
        for number in range(1025):
            self.relay(asked(f"repository:r{number}:pull"))
        self.net.seen.clear()
        self.relay(asked("repository:r1:pull"))
        self.assertEqual(len(self.net.seen), 0)
        self.relay(asked("repository:r0:pull"))
        self.assertEqual(len(self.net.seen), 1)
        self.net.serve(ORIGIN, reply(200, b'{"token":"%b","expires_in":300}' % (b"x" * 20000)))
        for _ in range(2):
            self.assertEqual(len(self.got(asked("repository:giant:pull"))["token"]), 20000)
        self.assertEqual(len(self.net.seen), 3)

    def test_forgotten(self) -> None:
        """A token that upstream refused is not handed out again, under whichever scopes it was kept."""
        self.net.serve(ORIGIN, reply(200, b'{"token":"same","expires_in":300}'))
        self.relay(asked(ALPINE))
        self.relay(asked("repository:b:pull"))
        self.tokens.forget(b"Bearer other")
        self.tokens.forget(BASIC)
        self.relay(asked(ALPINE))
        self.assertEqual(len(self.net.seen), 2)
        self.tokens.forget(b"bearer same")
        self.relay(asked(ALPINE))
        self.relay(asked("repository:b:pull"))
        self.assertEqual(len(self.net.seen), 4)


class OwnTests(TokensTestCase):
    SCOPES = (Scope("repository", "a/b", ("pull",)),)

    def with_account(self, password: str = "s3cret\n", **changes: Any) -> Side:
        """A side with an account, whose password stands in a file."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "password")
        self.write(password)
        return self.side(auth="own", account=account(self.file), **changes)

    def write(self, password: str) -> None:
        """Put a password into the file."""
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(password)

    def bearer(self, side: Side) -> bytes | None:
        """The credential for a pull."""
        return self.done(side.tokens.bearer(self.SCOPES))

    def test_anonymous(self) -> None:
        """Without an account anonymous tokens are taken, kept, and renewed when upstream refuses them."""
        side = self.side(auth="own")
        self.assertEqual([self.bearer(side) for _ in range(2)], [b"Bearer t1"] * 2)
        self.assertEqual(self.query(), [("service", "hub"), ("scope", "repository:a/b:pull")])
        self.assertEqual(self.net.seen[0].header("Authorization"), None)
        side.tokens.forget(b"Bearer t1")
        self.assertEqual(self.bearer(side), b"Bearer t2")
        self.assertEqual(side.tokens.credential(b"Bearer t2"), "anonymous")

    def test_account(self) -> None:
        """An account's password is read when it is used, and its token kept apart from anonymous ones."""
        side = self.with_account()
        self.assertEqual([self.bearer(side) for _ in range(2)], [b"Bearer t1"] * 2)
        self.assertEqual(self.net.seen[0].header("Authorization"), BASIC.decode())
        self.assertEqual(side.tokens.credential(b"Bearer t1"), "account")
        self.write("new")
        side.tokens.forget(b"Bearer t1")
        self.bearer(side)
        self.assertEqual(self.net.seen[1].header("Authorization"), "Basic YWxpY2U6bmV3")

    def test_clients_get_placeholders(self) -> None:
        """What docxy's account may see is not handed to clients as a token, though one is at hand."""
        side = self.with_account()
        self.bearer(side)
        self.assertEqual(self.got(asked("repository:a/b:pull"), side)["token"], PLACEHOLDER)

    def test_no_token_needed(self) -> None:
        """Where no token is needed there is no credential."""
        self.assertEqual(self.bearer(self.side(auth="own", needs_token=False)), None)

    def test_basic(self) -> None:
        """Where Basic rules, the account itself is the credential, and known as ours."""
        self.net.serve(HUB, reply(401, www_authenticate='Basic realm="x"'))
        side = self.with_account(realm=None, service=None)
        self.assertEqual((self.bearer(side), side.tokens.credential(BASIC)), (BASIC, "account"))
        self.assertEqual(self.bearer(self.side(auth="own", realm=None, service=None)), None)

    def test_password_file(self) -> None:
        """A password file that cannot be read is an error that tells neither content nor path."""
        side = self.with_account()
        os.remove(self.file)
        self.refused(side.tokens.bearer(self.SCOPES), "password_file cannot be read: FileNotFoundError")
        with open(self.file, "wb") as file:
            file.write(b"s3cret\xff")
        self.refused(side.tokens.bearer(self.SCOPES), "password_file cannot be read: UnicodeDecodeError")

    def test_refusals(self) -> None:
        """A token server's refusal, and an answer without a token, are errors."""
        self.net.serve(ORIGIN, reply(401, b'{"details":"s3cret"}'))
        self.refused(self.with_account().tokens.bearer(self.SCOPES), "status 401")
        self.net.serve(ORIGIN, reply(200, b'{"details":"s3cret"}'))
        self.refused(self.with_account().tokens.bearer(self.SCOPES), "no usable token")

    def test_unknown_server(self) -> None:
        """Where the token server is not known there is no credential, and the problem is told."""
        self.net.serve(HUB, reply(503))
        waiting = self.side(auth="own", realm=None).tokens.bearer(self.SCOPES)
        self.refused(waiting, "status 503")

    def test_silence(self) -> None:
        """A pull waits ten seconds for its token, and leaves nothing behind."""
        self.net.serve(ORIGIN, silent)
        waiting = self.side(auth="own").tokens.bearer(self.SCOPES)
        self.net.advance(10)
        self.failed(waiting, UpstreamTimedOut)
        self.assert_idle()
        self.assertEqual(self.net.open_connections(), [])
