"""Tests for `docxy.auth`: pings, and which credential goes upstream."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from docxy.interfaces import Authority, UpstreamTimedOut, UpstreamUnreachable
from docxy.testing import MemoryBody, reply
from tests.unit.mirror_rig import (
    BASE,
    CONTENT,
    HUB,
    MANIFEST,
    TOKEN,
    PullTests,
    Rig,
    challenge_of,
    values,
)

BASIC = b"Basic dXNlcjpwYXNz"
PLACEHOLDER = b"bearer  docxy-anonymous"
SECRET = "k7x9qq2m"

BASIC_ONLY = Authority("basic", "Amazon ECR")
OPEN = Authority("none")
UNKNOWN = Authority("unknown", problem="it was not asked yet")


class PingTests(PullTests):
    """Pings without credentials."""

    def test_known_challenge(self) -> None:
        """The ping is answered at once from what is known, in one line that every client reads."""
        answer = self.successResultOf(self.rig.ping())
        line = f'Bearer realm="{BASE}/auth/token",service="registry.example"'
        self.assertEqual(values(answer, b"WWW-Authenticate"), [line.encode()])
        self.assertEqual(
            (answer.status, answer.source, self.rig.asked()),
            (401, "self", []),
        )
        self.assertEqual(values(answer, b"Docker-Distribution-Api-Version"), [b"registry/2.0"])
        self.assertEqual(values(answer, b"Content-Type"), [b"application/json"])
        self.assertEqual(values(answer, b"Cache-Control"), [b"private, no-transform"])

    def test_realms(self) -> None:
        """The realm is absolute and names the upstream that the ping means."""
        for url, host, path in (
            ("/v2/", None, "/auth/token"),
            ("/v2/", "quay.example", "/auth/quay.io/token"),
            ("/v2/?ns=ghcr.io", None, "/auth/ghcr.io/token"),
            ("/ghcr.io/v2/", None, "/auth/ghcr.io/token"),
        ):
            answer = self.successResultOf(self.rig.ping(url, self.rig.caller(host=host)))
            self.assertEqual(challenge_of(answer).get("realm"), BASE + path)

    def test_unknown(self) -> None:
        """An upstream that could not be asked yet is no reason to keep a client waiting."""
        self.rig.tokens["docker.io"].known = UNKNOWN
        challenge = challenge_of(self.successResultOf(self.rig.ping()))
        self.assertEqual(challenge.params, (("realm", f"{BASE}/auth/token"),))

    def test_needs_no_token(self) -> None:
        """Where clients need no token the ping says so, whatever they bring, and upstream is not asked."""
        self.rig.tokens["docker.io"].known = OPEN
        for url in ("/v2/", "/own/v2/"):
            for authorization in (None, TOKEN, BASIC):
                answer = self.successResultOf(
                    self.rig.ping(url, self.rig.caller(authorization=authorization))
                )
                self.assertEqual((answer.status, answer.content, answer.source), (200, b"{}", "self"))
        self.assertEqual(self.rig.asked() + self.rig.asked("own.example"), [])

    def test_basic(self) -> None:
        """A registry with Basic credentials alone asks for them, at its own host only."""
        for realm, told in (("Amazon ECR", "Amazon ECR"), (None, "docker.io")):
            self.rig.tokens["docker.io"].known = Authority("basic", realm)
            challenge = challenge_of(self.successResultOf(self.rig.ping()))
            self.assertEqual((challenge.scheme, challenge.params), ("basic", (("realm", told),)))
        error = self.refused(self.rig.ping("/hub/v2/"))
        self.assertEqual((error.status, error.code), (403, "DENIED"))
        self.assertIn("hosts = ", error.message)


class CheckTests(PullTests):
    """Pings with credentials, as of ``docker login``."""

    def test_good(self) -> None:
        """Credentials that upstream takes are good; its own headers stay with it."""
        body = MemoryBody(b"{}")
        self.hub.will_answer(reply(200, body, [(b"X-Registry-Supports-Signatures", b"1")]))
        answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN)))
        self.assertEqual((answer.status, answer.content, body.fate), (200, b"{}", "dropped"))
        self.assertEqual(values(answer, b"X-Registry-Supports-Signatures"), [])
        self.assertEqual(self.rig.asked()[0].lines(b"Authorization"), [TOKEN])

    def test_bad(self) -> None:
        """Credentials that upstream refuses are answered with its error under our realm."""
        theirs = b'Bearer realm="https://auth.example/token",service="s",error="invalid_token"'
        self.hub.will_answer(reply(401, b"{}", [(b"WWW-Authenticate", theirs)]))
        answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN)))
        self.assertEqual(
            challenge_of(answer).params,
            (("realm", f"{BASE}/auth/token"), ("service", "s"), ("error", "invalid_token")),
        )

    def test_refused(self) -> None:
        """Other refusals keep their status, and a 429 tells a short wait."""
        for status, waits in ((403, []), (429, [b"60"]), (503, [])):
            headers = [(b"Retry-After", b"900")] if waits else []
            self.hub.will_answer(reply(status, b'{"a": 1}', headers))
            answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN)))
            self.assertEqual((answer.status, answer.content), (status, b'{"a": 1}'))
            self.assertEqual(values(answer, b"Retry-After"), waits)

    def test_failed(self) -> None:
        """No answer is no yes: 502, or 504 for time."""
        for error, status in ((UpstreamUnreachable("gone"), 502), (UpstreamTimedOut("late"), 504)):
            self.hub.will_answer(error)
            refused = self.refused(self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN)))
            self.assertEqual((refused.status, refused.message), (status, f"docker.io: {error}"))

    def test_in_time(self) -> None:
        """A check takes 10 seconds at most, the text of a refusal among them."""
        self.hub.will_answer(Deferred())
        asking = self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN))
        self.rig.clock.advance(9.9)
        self.assertNoResult(asking)
        self.rig.clock.advance(0.1)
        self.assertEqual(self.refused(asking).status, 504)

    def test_in_time_unlearnt(self) -> None:
        """The 10 seconds hold for all of it: to learn who gives tokens, and to check the one at hand."""
        self.rig.tokens["docker.io"].learning = Deferred()
        asking = self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN))
        self.rig.clock.advance(10)
        self.assertEqual(self.refused(asking).status, 504)

    def test_redirected(self) -> None:
        """What another origin says, it says without having seen the credentials."""
        for status in (200, 401, 403):
            body = MemoryBody(b"{}")
            self.hub.will_answer(reply(status, body, redirected=True))
            refused = self.refused(self.rig.ping("/v2/", self.rig.caller(authorization=TOKEN)))
            self.assertEqual((refused.status, body.fate), (502, "dropped"))

    def test_placeholder(self) -> None:
        """Our own placeholder is good, and stays here."""
        answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=PLACEHOLDER)))
        self.assertEqual((answer.status, self.rig.asked()), (200, []))

    def test_not_for_this_upstream(self) -> None:
        """Another upstream's token, Basic for a token registry and unknown schemes are challenged here."""
        self.rig.tokens["docker.io"].foreigners.add(TOKEN)
        for authorization in (TOKEN, BASIC, b"Digest username=x", b""):
            answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=authorization)))
            self.assertEqual(challenge_of(answer).get("error"), "invalid_token")
        self.assertEqual(self.rig.asked(), [])

    def test_basic(self) -> None:
        """Basic credentials go to a registry that takes them, and only from its own host."""
        self.rig.tokens["quay.io"].known = BASIC_ONLY
        quay = self.rig.upstreams["quay.io"]
        quay.will_answer(reply(200))
        caller = self.rig.caller(host="quay.example", authorization=BASIC)
        self.assertEqual(self.successResultOf(self.rig.ping("/v2/", caller)).status, 200)
        self.assertEqual(quay.asked[0].lines(b"Authorization"), [BASIC])
        for url in ("/quay.io/v2/", "/v2/?ns=quay.io"):
            error = self.refused(self.rig.ping(url, self.rig.caller(authorization=BASIC)))
            self.assertEqual(error.status, 403)
        self.assertEqual(len(quay.asked), 1)


class SecretTests(PullTests):
    """Pings of a mirror with a secret path."""

    def setUp(self) -> None:
        super().setUp()
        self.rig = Rig(HUB, secret=SECRET)

    def test_bare(self) -> None:
        """The bare ping challenges, without the secret, and checks nobody's credentials."""
        for authorization in (None, TOKEN):
            answer = self.successResultOf(self.rig.ping("/v2/", self.rig.caller(authorization=authorization)))
            self.assertEqual(challenge_of(answer).get("realm"), f"{BASE}/auth/token")
        self.assertEqual(self.rig.asked(), [])

    def test_shown(self) -> None:
        """Who shows the secret is led back under it, and is checked."""
        answer = self.successResultOf(self.rig.ping(f"/{SECRET}/v2/"))
        self.assertEqual(challenge_of(answer).get("realm"), f"{BASE}/{SECRET}/auth/token")
        self.rig.upstreams["docker.io"].will_answer(reply(200))
        answer = self.successResultOf(self.rig.ping(f"/{SECRET}/v2/", self.rig.caller(authorization=TOKEN)))
        self.assertEqual(answer.status, 200)


class CredentialTests(PullTests):
    """Which credential goes upstream with a pull."""

    def sent(
        self, authorization: bytes | None, url: str = MANIFEST, upstream: str = "docker.io"
    ) -> list[bytes]:
        """The Authorization lines that reach upstream."""
        self.rig.upstreams[upstream].will_answer(reply(200, CONTENT))
        self.successResultOf(self.rig.pull(url, self.rig.caller(authorization=authorization)))
        return self.rig.asked(upstream)[-1].lines(b"Authorization")

    def test_token(self) -> None:
        """The client's own token goes up, once, also while the upstream's realm is not known."""
        self.assertEqual(self.sent(TOKEN), [TOKEN])
        self.rig.tokens["docker.io"].known = UNKNOWN
        self.assertEqual(self.sent(TOKEN), [TOKEN])

    def test_none(self) -> None:
        """Nothing goes up where the client brought nothing, or our placeholder."""
        for authorization in (None, PLACEHOLDER):
            self.assertEqual(self.sent(authorization), [])

    def test_stripped(self) -> None:
        """What is not for this upstream does not reach it."""
        self.rig.tokens["docker.io"].foreigners.add(b"Bearer foreign")
        for authorization in (b"Bearer foreign", BASIC, b"Digest a=b"):
            self.assertEqual(self.sent(authorization), [])

    def test_no_tokens_there(self) -> None:
        """A token is kept from registries that give none out: it is somebody else's."""
        for known in (OPEN, BASIC_ONLY):
            self.rig.tokens["docker.io"].known = known
            self.assertEqual(self.sent(TOKEN), [])

    def test_basic(self) -> None:
        """Basic credentials go to a Basic registry, from its own host only."""
        self.rig.tokens["docker.io"].known = BASIC_ONLY
        self.assertEqual(self.sent(BASIC), [BASIC])
        self.assertEqual(self.sent(BASIC, f"/hub{MANIFEST}"), [])
        self.assertEqual(self.sent(BASIC, f"{MANIFEST}?ns=docker.io"), [])

    def test_own(self) -> None:
        """Where the mirror has its own access, the client's credentials never leave it."""
        tokens = self.rig.tokens["own.example"]
        tokens.bearers.extend([b"Bearer own", None])
        url = f"/v2/own{MANIFEST.removeprefix('/v2')}"
        self.assertEqual(self.sent(TOKEN, url, "own.example"), [b"Bearer own"])
        self.assertEqual(self.sent(BASIC, url, "own.example"), [])
        self.assertEqual([str(scope) for scope in tokens.wanted[0]], ["repository:library/alpine:pull"])

    def test_other_lines(self) -> None:
        """All Accept lines go up in order; cookies, forwarding and coding headers do not."""
        lines = [
            (b"Accept", b"application/vnd.oci.image.index.v1+json"),
            (b"accept", b"application/vnd.oci.image.manifest.v1+json"),
            (b"User-Agent", b"docker/29"),
            (b"Cookie", b"a=b"),
            (b"X-Forwarded-For", b"203.0.113.9"),
            (b"Accept-Encoding", b"gzip"),
            (b"Host", b"mirror.example"),
            (b"Range", b"bytes=0-5"),
        ]
        self.hub.will_answer(reply(200, CONTENT))
        self.successResultOf(self.rig.pull(MANIFEST, self.rig.caller(headers=lines, authorization=TOKEN)))
        self.assertEqual(
            list(self.rig.asked()[0].headers),
            [
                (b"Accept", lines[0][1]),
                (b"Accept", lines[1][1]),
                (b"User-Agent", b"docker/29"),
                (b"Accept-Encoding", b"identity"),
                (b"Authorization", TOKEN),
            ],
        )
