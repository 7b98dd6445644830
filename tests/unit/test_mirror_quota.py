"""Tests for `docxy.mirror`: refusals, and the memory of 429."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from docxy.answers import Answer
from docxy.interfaces import Reply, UpstreamBroken
from docxy.testing import MemoryBody, reply
from tests.unit.mirror_rig import BLOB, BY_DIGEST, CONTENT, MANIFEST, TOKEN, PullTests, challenge_of, values

ANONYMOUS = b"Bearer anonymous"
SIZE = len(CONTENT)
OWN_MANIFEST = "/v2/own/a/b/manifests/v1"
HUBS = (b"WWW-Authenticate", b'Bearer realm="https://auth.docker.io/token"')


def spent(seconds: int = 30) -> Reply:
    """Upstream's 429."""
    return reply(429, b'{"errors": []}', [(b"Retry-After", str(seconds).encode())])


class RefusalTests(PullTests):
    """What upstream refuses."""

    def pulled(self, theirs: Reply, url: str = MANIFEST) -> Answer:
        """The answer to a client with a token."""
        self.hub.will_answer(theirs)
        return self.successResultOf(self.rig.pull(url, self.rig.caller(authorization=TOKEN)))

    def test_kept(self) -> None:
        """Status and JSON of the registry's refusals are kept."""
        for status in (400, 403, 404, 405, 429, 500, 503):
            answer = self.pulled(reply(status, b'{"errors":  []}'))
            self.assertEqual((answer.status, answer.content), (status, b'{"errors":  []}'))

    def test_replaced(self) -> None:
        """HTML becomes JSON with the code of what was asked for."""
        for url, code in (
            (MANIFEST, b"MANIFEST_UNKNOWN"),
            (BLOB, b"BLOB_UNKNOWN"),
            ("/v2/a/b/tags/list", b"NAME_UNKNOWN"),
        ):
            answer = self.pulled(reply(404, b"<html>"), url)
            assert isinstance(answer.content, bytes)
            self.assertIn(code, answer.content)

    def test_dropped(self) -> None:
        """Which address upstream counted, and what a shared cache could keep, is not told."""
        private = [(b"Docker-RateLimit-Source", b"203.0.113.9"), (b"Expires", b"x"), (b"Age", b"1")]
        for theirs in (spent(), reply(200, CONTENT)):
            for url in (MANIFEST, BLOB):
                extended = Reply(
                    theirs.status, (*theirs.headers, *private), SIZE, "h", False, MemoryBody(CONTENT)
                )
                names = {name.lower() for name, _ in self.pulled(extended, url).headers}
                self.assertEqual(names & {name.lower() for name, _ in private}, set())

    def test_redirected(self) -> None:
        """The storage's refusals are 502, but for those that mean the same there; its body is not shown."""
        for url in (MANIFEST, BLOB):
            for status in (400, 401, 403, 500, 503):
                body = MemoryBody(b'{"errors": []}')
                self.hub.will_answer(reply(status, body, [HUBS], redirected=True))
                refused = self.refused(self.rig.pull(url))
                self.assertEqual((refused.status, body.fate), (502, "dropped"))
            for status in (404, 416, 429):
                self.assertEqual(self.pulled(reply(status, b"<Error/>", redirected=True), url).status, status)

    def test_wait(self) -> None:
        """A client is told to wait for a minute at most, on its own token as well."""
        for url in (MANIFEST, BLOB):
            self.assertEqual(values(self.pulled(spent(21600), url), b"Retry-After"), [b"60"])
            self.assertEqual(values(self.pulled(reply(429), url), b"Retry-After"), [b"10"])


class OwnTests(PullTests):
    """Upstreams that docxy has its own access to."""

    def setUp(self) -> None:
        super().setUp()
        self.tokens = self.rig.tokens["own.example"]
        self.upstream = self.rig.upstreams["own.example"]

    def test_once_more(self) -> None:
        """A token that upstream does not take any more is forgotten, and another one tried."""
        self.tokens.bearers.extend([b"Bearer old", b"Bearer new"])
        body = MemoryBody()
        self.upstream.will_answer(reply(401, body, [HUBS]), reply(200, CONTENT))
        answer = self.successResultOf(self.rig.pull(OWN_MANIFEST))
        self.assertEqual((answer.status, body.fate, self.tokens.forgotten), (200, "dropped", [b"Bearer old"]))
        sent = [asked.lines(b"Authorization") for asked in self.upstream.asked]
        self.assertEqual(sent, [[b"Bearer old"], [b"Bearer new"]])

    def test_never_401(self) -> None:
        """Refused again it is 404: a 401 would ask the client for credentials that nobody wants."""
        self.tokens.bearers.extend([b"Bearer old", b"Bearer new", None])
        for script in ([reply(401), reply(401)], [reply(401)]):
            self.upstream.will_answer(*script)
            refused = self.refused(self.rig.pull(OWN_MANIFEST, self.rig.caller(authorization=TOKEN)))
            self.assertEqual((refused.status, refused.code, refused.headers), (404, "NAME_UNKNOWN", ()))

    def test_catalog(self) -> None:
        """The refusal of a list names the registry."""
        self.tokens.bearers.append(None)
        self.upstream.will_answer(reply(401))
        refused = self.refused(self.rig.pull("/own/v2/_catalog"))
        self.assertIn("own.example does not exist", refused.message)
        self.assertEqual(str(self.tokens.wanted[0][0]), "registry:catalog:*")

    def test_storage(self) -> None:
        """A refusal by the storage says nothing of the token."""
        self.tokens.bearers.append(b"Bearer own")
        self.upstream.will_answer(reply(401, redirected=True))
        self.assertEqual(self.refused(self.rig.pull(OWN_MANIFEST)).status, 502)
        self.assertEqual(self.tokens.forgotten, [])

    def test_no_token(self) -> None:
        """A token server that fails is 502; upstream is not asked without a token."""
        self.tokens.bearers.append(UpstreamBroken("the token server answered with status 500"))
        self.assertEqual(self.refused(self.rig.pull(OWN_MANIFEST)).status, 502)
        self.assertEqual(self.upstream.asked, [])

    def test_refused_probe(self) -> None:
        """A probe that needs a new token is still the probe, and gets through."""
        self.tokens.ours.update({b"Bearer old": "account", b"Bearer new": "account"})
        self.tokens.bearers.extend([b"Bearer old", b"Bearer old", b"Bearer old", b"Bearer new"])
        self.upstream.will_answer(spent(5), reply(401), reply(200, CONTENT))
        self.assertEqual(self.successResultOf(self.rig.pull(OWN_MANIFEST)).status, 429)
        message = self.refused(self.rig.pull(OWN_MANIFEST)).message
        self.assertIn("account access; wait, or pull from own.example itself", message)
        self.rig.clock.advance(5)
        self.assertEqual(self.successResultOf(self.rig.pull(OWN_MANIFEST)).status, 200)


class QuotaTests(PullTests):
    """A 429 to a credential of ours is remembered."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.tokens["docker.io"].ours[ANONYMOUS] = "anonymous"

    def pull(
        self, url: str = MANIFEST, authorization: bytes | None = ANONYMOUS, method: bytes = b"GET"
    ) -> Deferred[Answer]:
        """A pull with a token."""
        return self.rig.pull(url, self.rig.caller(method, authorization=authorization))

    def spend(self, seconds: int = 30) -> None:
        """Let upstream say 429 to an anonymous manifest GET."""
        self.hub.will_answer(spent(seconds))
        self.assertEqual(self.successResultOf(self.pull()).status, 429)

    def status(self, theirs: Reply, **pull: bytes) -> int:
        """The status of a pull that reaches upstream."""
        self.hub.will_answer(theirs)
        return self.successResultOf(self.pull(**pull)).status  # type: ignore[arg-type]

    def test_remembered(self) -> None:
        """Whoever comes with the same credential waits out the rest; upstream is not asked."""
        self.spend(30)
        self.rig.clock.advance(10.5)
        for authorization in (ANONYMOUS, None):
            refused = self.refused(self.pull(BY_DIGEST, authorization))
            self.assertEqual((refused.status, refused.code, refused.cause), (429, "TOOMANYREQUESTS", "quota"))
            self.assertIn("anonymous access; log in to docker.io through this mirror", refused.message)
            self.assertEqual(refused.headers, (("Retry-After", "20"),))
        self.assertEqual(len(self.rig.asked()), 1)

    def test_minute(self) -> None:
        """Upstream may say hours: after a minute it is asked again."""
        self.spend(21600)
        self.rig.clock.advance(59.9)
        self.assertEqual(self.refused(self.pull()).headers, (("Retry-After", "1"),))
        self.rig.clock.advance(0.1)
        self.assertEqual(self.status(reply(200, CONTENT)), 200)
        self.assertEqual(self.status(reply(200, CONTENT)), 200)

    def test_others_pass(self) -> None:
        """A client's own token, HEADs, blobs, lists and other upstreams are not held up."""
        self.spend()
        self.assertEqual(self.status(reply(200, CONTENT), authorization=TOKEN), 200)
        self.assertEqual(self.status(reply(200, length=1), method=b"HEAD"), 200)
        for url in (BLOB, "/v2/a/b/tags/list"):
            self.hub.will_answer(reply(200, CONTENT))
            self.assertEqual(self.successResultOf(self.pull(url)).status, 200)
        self.rig.upstreams["ghcr.io"].will_answer(reply(200, CONTENT))
        answer = self.successResultOf(self.pull("/v2/ghcr.io/a/b/manifests/v1", None))
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.refused(self.pull()).status, 429)

    def test_not_remembered(self) -> None:
        """A 429 to a client's own token, a HEAD or a blob holds nobody up."""
        for url, authorization, method in (
            (MANIFEST, TOKEN, b"GET"),
            (MANIFEST, ANONYMOUS, b"HEAD"),
            (BLOB, ANONYMOUS, b"GET"),
        ):
            self.hub.will_answer(spent(), reply(200, CONTENT))
            self.assertEqual(self.successResultOf(self.pull(url, authorization, method)).status, 429)
            self.assertEqual(self.successResultOf(self.pull()).status, 200)

    def test_probe(self) -> None:
        """After the wait one request sees whether it is over; the others wait for it."""
        self.spend(5)
        self.rig.clock.advance(5)
        probe: Deferred[Reply] = Deferred()
        self.hub.will_answer(probe)
        probing = self.pull()
        self.assertEqual(self.refused(self.pull()).headers, (("Retry-After", "2"),))
        probe.callback(reply(200, CONTENT))
        self.assertEqual(self.successResultOf(probing).status, 200)
        self.assertEqual(self.status(reply(200, CONTENT)), 200)

    def test_probe_spent(self) -> None:
        """A probe that is refused starts the wait again."""
        self.spend(5)
        self.rig.clock.advance(5)
        self.assertEqual(self.status(spent(7)), 429)
        self.assertEqual(self.refused(self.pull()).headers, (("Retry-After", "7"),))

    def test_probe_without_answer(self) -> None:
        """A probe that failed, or whose client left, leaves nobody waiting: the next one may probe."""
        self.spend(5)
        self.rig.clock.advance(5)
        self.hub.will_answer(UpstreamBroken("cut"), Deferred(), Deferred())
        self.assertEqual(self.refused(self.pull()).status, 502)
        probing = self.pull()
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        late = self.pull()
        self.rig.clock.advance(25)
        self.assertEqual(self.refused(late).status, 504)
        self.assertEqual(self.status(reply(200, CONTENT)), 200)
        self.assertEqual(len(self.rig.asked()), 5)

    def test_probe_says_nothing(self) -> None:
        """A 401 or 503 tells nothing of the quota: the next request probes, one at a time still."""
        self.spend(5)
        self.rig.clock.advance(5)
        self.hub.will_answer(reply(401, headers=[HUBS]))
        self.assertEqual(challenge_of(self.successResultOf(self.pull())).get("error"), "invalid_token")
        self.assertEqual(self.status(reply(503)), 503)
        self.hub.will_answer(Deferred())
        self.assertNoResult(self.pull())
        self.assertEqual(self.refused(self.pull()).status, 429)

    def test_probe_404(self) -> None:
        """Who says that an image does not exist has counted us in again."""
        self.spend(5)
        self.rig.clock.advance(5)
        self.assertEqual(self.status(reply(404)), 404)
        first, second = Deferred[Reply](), Deferred[Reply]()
        self.hub.will_answer(first, second)
        for pulling in (self.pull(), self.pull()):
            self.assertNoResult(pulling)
