"""Tests for `docxy.auth`: the token endpoint."""

from __future__ import annotations

from docxy.interfaces import TokenReply, TokenRequest, UpstreamBroken, UpstreamTimedOut
from docxy.oci.headers import INERT
from docxy.testing import FakeTokenSource
from tests.unit.mirror_rig import HUB, PullTests, Rig, values

BASIC = b"Basic dXNlcjpwYXNz"
TOKEN = TokenReply(
    200, ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")), b'{"token":"a"}'
)
ALPINE = "repository:library/alpine:pull"


def scopes(request: TokenRequest) -> list[str]:
    """The scopes as text."""
    return [str(scope) for scope in request.scopes]


class TokenTests(PullTests):
    """What becomes of a token request."""

    def setUp(self) -> None:
        super().setUp()
        self.tokens = self.rig.tokens["docker.io"]

    def asked(
        self,
        *params: tuple[str, str],
        url: str = "/auth/token",
        authorization: bytes | None = None,
        form: bool = False,
        at: str = "docker.io",
    ) -> TokenRequest:
        """The request that the token source of an upstream gets."""
        source: FakeTokenSource = self.rig.tokens[at]
        source.answers.append(TOKEN)
        caller = self.rig.caller(authorization=authorization)
        self.successResultOf(self.rig.token(url, params, caller, form))
        return source.relayed[-1]

    def test_scopes(self) -> None:
        """None, one, several or repeated scopes are all asked for, in order and with ``library/``."""
        for given, wanted in (
            ([], []),
            (["repository:alpine:pull"], [ALPINE]),
            (
                ["repository:b/b:pull", "aws", "repository:a/a:pull"],
                ["repository:b/b:pull", "aws", "repository:a/a:pull"],
            ),
            (["repository:alpine:pull repository:a/a:pull"], [ALPINE, "repository:a/a:pull"]),
            (["repository:alpine:pull", ALPINE], [ALPINE]),
        ):
            request = self.asked(*(("scope", value) for value in given))
            self.assertEqual(scopes(request), wanted)

    def test_params(self) -> None:
        """Every other parameter passes in order, and Basic credentials with it."""
        request = self.asked(
            ("account", "user"),
            ("service", ""),
            ("service", "registry.docker.io"),
            ("scope", ALPINE),
            ("offline_token", "true"),
            ("client_id", "docker"),
            authorization=BASIC,
        )
        self.assertEqual(
            request,
            TokenRequest(
                request.scopes,
                (("account", "user"), ("offline_token", "true"), ("client_id", "docker")),
                "registry.docker.io",
                BASIC,
            ),
        )

    def test_form(self) -> None:
        """A form stays one, with its grant; a token as Authorization is ignored."""
        params = (("grant_type", "refresh_token"), ("refresh_token", "r"))
        request = self.asked(*params, form=True, authorization=b"Bearer eyJ")
        self.assertEqual(request, TokenRequest((), params, form=True))

    def test_prefix_in_scope(self) -> None:
        """A prefix in a scope names the image's upstream, which is asked without this host's credentials."""
        for form in (False, True):
            request = self.asked(
                ("scope", "repository:ghcr.io/org/img:pull"),
                ("service", "s"),
                ("password", "secret"),
                authorization=BASIC,
                form=form,
                at="ghcr.io",
            )
            self.assertEqual(request, TokenRequest(request.scopes, service="s"))
            self.assertEqual(scopes(request), ["repository:org/img:pull"])

    def test_upstream_in_path(self) -> None:
        """The path's upstream gets the credentials."""
        request = self.asked(
            ("scope", "repository:org/img:pull"), url="/auth/ghcr.io/token", authorization=BASIC, at="ghcr.io"
        )
        self.assertEqual((scopes(request), request.authorization), (["repository:org/img:pull"], BASIC))

    def test_relayed(self) -> None:
        """
        The answer goes out as it came, refusals too: by POST's 404 or 405 clients learn to use GET.

        But no browser may run it.
        """
        for status in (200, 400, 401, 403, 404, 405, 503):
            self.tokens.answers.append(TokenReply(status, TOKEN.headers, b'{"a": 1}'))
            answer = self.successResultOf(self.rig.token("/auth/token", form=True))
            self.assertEqual(
                (answer.status, answer.headers, answer.content, answer.length),
                (status, (*TOKEN.headers, *INERT), b'{"a": 1}', 8),
            )

    def test_wait(self) -> None:
        """A token server's 429 tells a short wait."""
        self.tokens.answers.append(TokenReply(429, ((b"Retry-After", b"3600"),), b"{}"))
        answer = self.successResultOf(self.rig.token("/auth/token"))
        self.assertEqual((answer.status, values(answer, b"Retry-After")), (429, [b"60"]))

    def test_failed(self) -> None:
        """A token server that gives no answer is named so, and its failure is 502 or 504."""
        for error, status in ((UpstreamBroken("too large"), 502), (UpstreamTimedOut("late"), 504)):
            self.tokens.answers.append(error)
            refused = self.refused(self.rig.token("/auth/token"))
            self.assertEqual(refused.status, status)
            self.assertEqual(refused.message, f"the token server of docker.io: {error}")

    def test_refused(self) -> None:
        """Bad scopes, unknown upstreams and scopes of two upstreams are refused; nobody is asked."""
        for url, scope, status in (
            ("/auth/token", 'repository:a"b:pull', 400),
            ("/auth/token", "repository:ghcr.io/a/b:pull repository:quay.io/a/b:pull", 400),
            ("/auth/elsewhere.example/token", ALPINE, 404),
        ):
            self.assertEqual(self.refused(self.rig.token(url, [("scope", scope)])).status, status)
        self.assertEqual([source.relayed for source in self.rig.tokens.values()], [[], [], [], []])

    def test_secret(self) -> None:
        """Behind a secret path nobody gets a token without it, and upstream never sees it."""
        self.rig = Rig(HUB, secret="k7x9qq2m")
        self.assertEqual(self.refused(self.rig.token("/auth/token", [("scope", ALPINE)])).status, 404)
        request = self.asked(("scope", "repository:k7x9qq2m/alpine:pull"))
        self.assertEqual(scopes(request), [ALPINE])
        self.assertEqual(scopes(self.asked(("scope", ALPINE), url="/k7x9qq2m/auth/token")), [ALPINE])
