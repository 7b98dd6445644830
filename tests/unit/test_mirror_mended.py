"""Tests for `docxy.mirror`: with which credentials a body is mended, and blobs whose bytes were wrong."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from docxy.answers import Answer
from docxy.interfaces import Course, Reply, UpstreamBroken, UpstreamRefused
from docxy.oci.routes import parse
from docxy.policy.misfits import REMEMBERED
from docxy.testing import MemoryBody, reply
from tests.unit.mirror_rig import BLOB, BY_DIGEST, CONTENT, DIGEST, TOKEN, PullTests

NOBODY: frozenset[str] = frozenset()
OWN_BLOB = f"/v2/own/a/b/blobs/{DIGEST}"
TAIL = ((b"Range", b"bytes=5-"),)


class CredentialTests(PullTests):
    """What a resume bears."""

    def asked_again(self, *script: Reply, upstream: str = "docker.io", first: int = 16) -> Deferred[Reply]:
        """The last blob that was pulled is asked for again."""
        self.rig.upstreams[upstream].will_answer(*script)
        ask = self.rig.asks[-1]
        assert ask is not None
        return ask(first, None, NOBODY)

    def pull(self, authorization: bytes | None = TOKEN, url: str = BLOB, upstream: str = "docker.io") -> None:
        """A blob is pulled."""
        self.rig.upstreams[upstream].will_answer(reply(200, CONTENT))
        self.successResultOf(self.rig.pull(url, self.rig.caller(authorization=authorization)))

    def borne(self, upstream: str = "docker.io") -> list[list[bytes]]:
        """The credentials of all requests but the first."""
        return [asked.lines(b"Authorization") for asked in self.rig.asked(upstream)[1:]]

    def test_open_end(self) -> None:
        """Where the end is not known all is asked for."""
        self.pull()
        self.successResultOf(self.asked_again(reply(206)))
        self.assertEqual(self.rig.asked()[-1].lines(b"Range"), [b"bytes=16-"])

    def test_private(self) -> None:
        """A client's token that has run out, where nobody else has access: the refusal stands."""
        self.pull()
        self.rig.tokens["docker.io"].bearers.append(b"Bearer anonymous")
        body = MemoryBody()
        answer = self.successResultOf(self.asked_again(reply(401, body), reply(401)))
        self.assertEqual((answer.status, body.fate), (401, "dropped"))
        self.assertEqual(self.borne(), [[TOKEN], [b"Bearer anonymous"]])

    def test_no_token_for_it(self) -> None:
        """A token server that refuses, or fails, says so; upstream is not asked without a token."""
        self.pull()
        for error in (UpstreamRefused("status 403"), UpstreamBroken("status 500")):
            self.rig.tokens["docker.io"].bearers.append(error)
            self.failureResultOf(self.asked_again(reply(401)), type(error))
        self.assertEqual(self.borne(), [[TOKEN], [TOKEN]])

    def test_other_refusals(self) -> None:
        """A refusal of the storage, and any of who bore nothing, stand."""
        self.pull()
        self.assertEqual(self.successResultOf(self.asked_again(reply(401, redirected=True))).status, 401)
        self.assertEqual(self.successResultOf(self.asked_again(reply(403))).status, 403)
        self.pull(authorization=None)
        self.assertEqual(self.successResultOf(self.asked_again(reply(401))).status, 401)
        self.assertEqual(self.rig.tokens["docker.io"].forgotten, [])

    def test_own(self) -> None:
        """docxy's own token is taken anew for each try, and forgotten where it is refused."""
        tokens = self.rig.tokens["own.example"]
        tokens.bearers.append(b"Bearer first")
        self.pull(url=OWN_BLOB, upstream="own.example")
        tokens.bearers.extend([b"Bearer old", b"Bearer new"])
        answer = self.successResultOf(self.asked_again(reply(401), reply(206), upstream="own.example"))
        self.assertEqual((answer.status, tokens.forgotten), (206, [b"Bearer old"]))
        self.assertEqual(self.borne("own.example"), [[b"Bearer old"], [b"Bearer new"]])


class MisfitTests(PullTests):
    """Blobs that came with wrong bytes."""

    def setUp(self) -> None:
        super().setUp()
        route = parse(b"GET", BLOB.encode(), b"")
        target = self.rig.addressing.target(route, None)
        self.rig.mirror.note_misfit(route, target, Course(hosts=["bad.example"]), len(CONTENT))

    def pull(
        self, headers: tuple[tuple[bytes, bytes], ...] = (), url: str = BLOB, method: bytes = b"GET"
    ) -> Deferred[Answer]:
        """Ask for it."""
        return self.rig.pull(url, self.rig.caller(method, headers))

    def test_whole(self) -> None:
        """The next who wants it whole, or from its start, is served by another host."""
        for headers in ((), ((b"Range", b"bytes=0-"),)):
            self.hub.will_answer(reply(200, CONTENT))
            self.assertIn(self.successResultOf(self.pull(headers)).status, (200, 206))
            self.assertEqual(self.rig.asked()[-1].avoid, {"bad.example"})

    def test_tail(self) -> None:
        """Who wants the rest of the wrong bytes gets 416 and their number, to begin anew; nobody is asked."""
        refused = self.refused(self.pull(TAIL))
        self.assertEqual((refused.status, self.rig.asked()), (416, []))
        self.assertEqual(refused.headers, (("Content-Range", f"bytes */{len(CONTENT)}"),))

    def test_others(self) -> None:
        """A HEAD, another blob and a manifest of that digest are served, whatever range they name."""
        other = f"/v2/library/alpine/blobs/sha256:{'0' * 64}"
        for url, method, avoid in (
            (BLOB, b"HEAD", {"bad.example"}),
            (other, b"GET", set()),
            (BY_DIGEST, b"GET", set()),
        ):
            self.hub.will_answer(reply(200, CONTENT))
            answer = self.successResultOf(self.pull(TAIL, url, method))
            self.assertIn(answer.status, (200, 206))
            self.assertEqual(self.rig.asked()[-1].avoid, avoid, (url, method))

    def test_forgotten(self) -> None:
        """After ten minutes it is forgotten."""
        self.rig.clock.advance(REMEMBERED)
        self.hub.will_answer(reply(200, CONTENT))
        self.assertEqual(self.successResultOf(self.pull(TAIL)).status, 206)
        self.assertEqual(self.rig.asked()[-1].avoid, set())
