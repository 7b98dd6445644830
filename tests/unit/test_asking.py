"""Tests for `docxy.asking`: what is asked, and how long it took; the quota's own are in test_mirror_quota."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from docxy.answers import Caller
from docxy.interfaces import Reply, UpstreamBroken
from docxy.oci.routes import parse
from docxy.testing import reply
from tests.unit.metrics_rig import lines
from tests.unit.mirror_rig import BLOB, MANIFEST, PullTests
from tests.unit.web.rig import Logged


class AskingTests(PullTests):
    """One question."""

    def ask(self, path: str, theirs: Deferred[Reply]) -> Deferred[Reply]:
        """Ask Docker Hub, which will say ``theirs``."""
        self.hub.will_answer(theirs)
        route = parse(b"GET", path.encode(), b"")
        target = self.rig.addressing.target(route, None)
        caller: Caller = self.rig.caller()
        return Deferred.fromCoroutine(self.rig.asking.ask(route, target, caller, None, frozenset({"bad"})))

    def seconds(self) -> list[str]:
        """What was counted of its times."""
        return lines(self.rig.metrics, "docxy_upstream_seconds_sum", "docxy_upstream_seconds_count")

    def test_timed(self) -> None:
        """An answer's time counts, by the kind of what was asked; hosts to avoid are named."""
        for path, seconds in ((MANIFEST, 2.0), (BLOB, 0.5)):
            theirs: Deferred[Reply] = Deferred()
            asking = self.ask(path, theirs)
            self.rig.clock.advance(seconds)
            theirs.callback(reply(404))
            self.assertEqual(self.successResultOf(asking).status, 404)
        self.assertEqual([asked.avoid for asked in self.rig.asked()], [frozenset({"bad"})] * 2)
        self.assertEqual(
            self.seconds(),
            [
                'docxy_upstream_seconds_count{kind="manifest",upstream="docker.io"} 1.0',
                'docxy_upstream_seconds_sum{kind="manifest",upstream="docker.io"} 2.0',
                'docxy_upstream_seconds_count{kind="blob",upstream="docker.io"} 1.0',
                'docxy_upstream_seconds_sum{kind="blob",upstream="docker.io"} 0.5',
            ],
        )

    def test_no_answer(self) -> None:
        """What got no answer, or was not waited for, has no time."""
        theirs: Deferred[Reply] = Deferred()
        asking = self.ask(BLOB, theirs)
        theirs.errback(UpstreamBroken("no"))
        self.failureResultOf(asking, UpstreamBroken)
        asking = self.ask(BLOB, Deferred())
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.seconds(), [])

    def test_parts(self) -> None:
        """It knows the upstream that is meant, and where its tokens come from."""
        route = parse(b"GET", b"/v2/ghcr.io/a/b/manifests/c", b"")
        target = self.rig.addressing.target(route, None)
        self.assertIs(self.rig.asking.upstream(target), self.rig.upstreams["ghcr.io"])
        self.assertIs(self.rig.asking.tokens(target), self.rig.tokens["ghcr.io"])


class AllowanceTests(PullTests):
    """What registries say of pulls that are left."""

    def setUp(self) -> None:
        """Docker Hub, asked without a token of the client's."""
        super().setUp()
        self.logged = Logged(self)
        self.rig.tokens["docker.io"].ours[b"Bearer ours"] = "anonymous"

    def pulled(self, left: int, path: str = MANIFEST, token: bytes = b"Bearer ours", **more: Any) -> None:
        """Pull, and be told how many are left."""
        headers = [
            (b"RateLimit-Limit", b"100;w=21600"),
            (b"RateLimit-Remaining", b"%d;w=21600" % left),
            (b"Docker-RateLimit-Source", b"192.0.2.1"),
        ]
        self.hub.will_answer(reply(404, b"{}", headers, **more))
        self.successResultOf(self.rig.pull(path, self.rig.caller(authorization=token)))

    def left(self) -> list[tuple[str, str, int, str]]:
        """What is known."""
        found = self.rig.allowances.current(self.rig.clock.seconds())
        return [(one.upstream, one.credential, one.left.count, one.source) for one in found]

    def said(self) -> list[str]:
        """What the log says."""
        return self.logged.said("docxy.asking")

    def test_noted(self) -> None:
        """What is left of docxy's own access is kept, and said in the log once it is little."""
        self.pulled(76)
        self.assertEqual(self.left(), [("docker.io", "anonymous", 76, "192.0.2.1")])
        self.assertEqual(self.said(), [])
        self.pulled(9)
        self.pulled(8)
        expected = "docker.io has 9 of 100 pulls left for this mirror's anonymous access"
        self.assertEqual(self.said(), [expected])

    def test_no_limit(self) -> None:
        """A limit that is not told is not guessed."""
        self.hub.will_answer(reply(404, b"{}", [(b"RateLimit-Remaining", b"3")]))
        self.successResultOf(self.rig.pull(MANIFEST, self.rig.caller(authorization=b"Bearer ours")))
        self.assertIn("has 3 of ? pulls left", self.said()[0])

    def test_not_ours(self) -> None:
        """A client's own allowance is its own affair, blobs have none, and storage is not asked."""
        self.pulled(76, token=b"Bearer theirs")
        self.pulled(76, path=BLOB)
        self.pulled(76, redirected=True)
        self.assertEqual(self.left(), [])
