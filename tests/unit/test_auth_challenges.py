"""Tests for `docxy.auth`: upstream's challenges, led through the mirror."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from docxy.answers import Answer
from docxy.interfaces import Authority
from docxy.testing import reply
from tests.unit.mirror_rig import BASE, MANIFEST, TOKEN, PullTests, Rig, challenge_of, values

REALM = ("realm", f"{BASE}/auth/token")
SERVICE = ("service", "registry.docker.io")
SCOPE = ("scope", "repository:library/alpine:pull")
DEFAULTS = (REALM, ("service", "registry.example"), SCOPE)

HUBS = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'

FIXTURES: tuple[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], ...] = (
    ((f'{HUBS},scope="repository:library/alpine:pull"',), (REALM, SERVICE, SCOPE)),
    (
        (f'{HUBS},scope="repository:library/alpine:pull",error="insufficient_scope"',),
        (REALM, SERVICE, SCOPE, ("error", "insufficient_scope")),
    ),
    (("Bearer realm=https://gcr.io/v2/token,service=gcr.io",), (REALM, ("service", "gcr.io"), SCOPE)),
    (('Bearer realm="https://auth.example/token"',), DEFAULTS),
    (('Bearer realm="https://auth.example/token",service="",scope=""',), DEFAULTS),
    (
        ('Bearer realm="https://a.example/t",scope="repository:a/b:pull,push repository:c/d:pull"',),
        (REALM, DEFAULTS[1], ("scope", "repository:a/b:pull,push repository:c/d:pull")),
    ),
    (('Bearer realm="https://a.example/t",service="a\\"b"',), (REALM, ("service", 'a"b'), SCOPE)),
    (('Basic realm="x"', f'{HUBS},scope="repository:library/alpine:pull"'), (REALM, SERVICE, SCOPE)),
    ((f'Basic realm="x", {HUBS}',), (REALM, SERVICE, SCOPE)),
    (('Basic realm="x"',), DEFAULTS),
    (('bearer Realm="https://a.example/t",SERVICE="s"',), (REALM, ("service", "s"), SCOPE)),
    (('Bearer realm="https://evil.example/steal?a=b"',), DEFAULTS),
    (('Bearer realm="https://a.example\r\nSet-Cookie: a=b"',), DEFAULTS),
    (("Negotiate abc==",), DEFAULTS),
    (('Bearer realm="https://p.example/token/",scope="aws"',), (REALM, DEFAULTS[1], ("scope", "aws"))),
    ((), DEFAULTS),
)


class ChallengedTests(PullTests):
    """An upstream's 401 to a pull."""

    def challenged(
        self,
        *lines: str,
        url: str = MANIFEST,
        upstream: str = "docker.io",
        authorization: bytes | None = None,
        host: str | None = None,
    ) -> Answer:
        """What the client gets when upstream answers 401 with these challenges."""
        headers = [(b"WWW-Authenticate", line.encode("latin-1")) for line in lines]
        self.rig.upstreams[upstream].will_answer(reply(401, b'{"errors": []}', headers))
        caller = self.rig.caller(authorization=authorization, host=host)
        return self.successResultOf(self.rig.pull(url, caller))

    def test_fixtures(self) -> None:
        """Every form that registries send becomes one Bearer line on our realm."""
        for lines, params in FIXTURES:
            challenge = challenge_of(self.challenged(*lines))
            self.assertEqual((challenge.scheme, challenge.params), ("bearer", params), lines)

    def test_error(self) -> None:
        """Every 401 to a request that bore a token carries an error, or containerd offers it again."""
        for lines, params in FIXTURES:
            error = challenge_of(self.challenged(*lines, authorization=TOKEN)).get("error")
            self.assertEqual(error, dict(params).get("error", "invalid_token"), lines)

    def test_stripped(self) -> None:
        """A token that never reached upstream is called invalid, too."""
        self.rig.tokens["docker.io"].foreigners.add(TOKEN)
        for authorization in (TOKEN, b"Bearer docxy-anonymous", b"Basic dTpw"):
            challenge = challenge_of(self.challenged(HUBS, authorization=authorization))
            self.assertEqual(challenge.get("error"), "invalid_token")

    def test_body(self) -> None:
        """Upstream's JSON is kept beside the challenge, which it does not repeat."""
        answer = self.challenged(HUBS)
        self.assertEqual((answer.content, answer.length), (b'{"errors": []}', 14))
        self.assertEqual(len(values(answer, b"WWW-Authenticate")), 1)

    def test_respelt(self) -> None:
        """Scopes are spelt as the client spells names: with the prefix that it put inside the name."""
        for url, path, scope in (
            ("/v2/ghcr.io/org/img/manifests/v1", "/auth/token", "repository:ghcr.io/org/img:pull"),
            ("/ghcr.io/v2/org/img/manifests/v1", "/auth/ghcr.io/token", "repository:org/img:pull"),
            ("/v2/org/img/manifests/v1?ns=ghcr.io", "/auth/ghcr.io/token", "repository:org/img:pull"),
        ):
            theirs = 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:org/img:pull"'
            answer = self.challenged(theirs, url=url, upstream="ghcr.io")
            self.assertEqual(
                challenge_of(answer).params,
                (("realm", BASE + path), ("service", "ghcr.io"), ("scope", scope)),
            )

    def test_respelt_default(self) -> None:
        """A scope that upstream left out is made up, in the client's spelling."""
        answer = self.challenged(url="/v2/ghcr.io/org/img/manifests/v1", upstream="ghcr.io")
        self.assertEqual(challenge_of(answer).get("scope"), "repository:ghcr.io/org/img:pull")

    def test_secret(self) -> None:
        """A secret inside the name comes back inside the scope, and one in the path in the realm."""
        self.rig = Rig(secret="k7x9qq2m")
        for url, scope in (
            ("/v2/k7x9qq2m/library/alpine/manifests/v1", "repository:k7x9qq2m/library/alpine:pull"),
            ("/k7x9qq2m/v2/library/alpine/manifests/v1", "repository:library/alpine:pull"),
        ):
            challenge = challenge_of(self.challenged(HUBS, url=url))
            self.assertEqual(challenge.get("realm"), f"{BASE}/k7x9qq2m/auth/token")
            self.assertEqual(challenge.get("scope"), scope)

    def test_catalog(self) -> None:
        """A list of all repositories has the scope that upstream says, or none."""
        answer = self.challenged(f'{HUBS},scope="registry:catalog:*"', url="/v2/_catalog")
        self.assertEqual(challenge_of(answer).get("scope"), "registry:catalog:*")
        self.assertIsNone(challenge_of(self.challenged(HUBS, url="/v2/_catalog")).get("scope"))

    def test_basic_only(self) -> None:
        """Basic alone is asked for where the registry's own host is meant, else refused with the remedy."""
        self.rig.tokens["quay.io"].known = Authority("unknown")
        challenge = challenge_of(self.challenged('Basic realm="r"', upstream="quay.io", host="quay.example"))
        self.assertEqual((challenge.scheme, challenge.params), ("basic", (("realm", "r"),)))
        self.rig.tokens["quay.io"].known = Authority("basic", "known")
        self.assertEqual(
            challenge_of(self.challenged(upstream="quay.io", host="quay.example")).get("realm"), "known"
        )
        self.assertEqual(
            challenge_of(self.challenged("Basic", upstream="quay.io", host="quay.example")).get("realm"),
            "quay.io",
        )
        self.rig.upstreams["quay.io"].will_answer(reply(401))
        error = self.refused(self.rig.pull(MANIFEST.replace("library", "quay.io")))
        self.assertEqual((error.status, error.code), (403, "DENIED"))

    def test_forgotten(self) -> None:
        """A token that upstream calls bad is not handed out again; one that lacks access is a good one."""
        forgotten = self.rig.tokens["docker.io"].forgotten
        self.challenged(HUBS)
        self.challenged(f'{HUBS},error="insufficient_scope"', authorization=TOKEN)
        self.assertEqual(forgotten, [])
        self.challenged(f'{HUBS},error="invalid_token"', authorization=TOKEN)
        self.challenged(authorization=TOKEN)
        self.assertEqual(forgotten, [TOKEN, TOKEN])

    @settings(derandomize=True, max_examples=80, deadline=None)
    @given(
        st.lists(
            st.text(st.characters(max_codepoint=255), max_size=40)
            | st.text('Bb ear=",\\; scopelmt:/', max_size=40).map("Bearer {}".format),
            max_size=3,
        )
    )
    def test_hostile(self, lines: list[str]) -> None:
        """Whatever upstream sends, one printable line on our realm goes out."""
        answer = self.challenged(*lines)
        self.assertEqual(challenge_of(answer).get("realm"), REALM[1])
        self.assertIsNotNone(re.fullmatch(rb"Bearer [ -~]+", values(answer, b"WWW-Authenticate")[0]))
