"""Tests for `docxy.asking`: what is asked, and how long it took; the quota's own are in test_mirror_quota."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from docxy.answers import Caller
from docxy.interfaces import Reply, UpstreamBroken
from docxy.oci.routes import parse
from docxy.testing import reply
from tests.unit.metrics_rig import lines
from tests.unit.mirror_rig import BLOB, MANIFEST, PullTests


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
