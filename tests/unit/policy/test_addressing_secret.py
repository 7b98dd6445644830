"""Tests for `docxy.policy.addressing`: the secret path."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from docxy.oci.errors import RegistryError
from docxy.oci.routes import Kind, Route
from docxy.oci.scopes import parse_scopes
from docxy.policy.addressing import Addressing
from docxy.policy.secret import SecretPath
from docxy.settings.values import AccessSettings, KeySettings, ServerSettings, Settings
from tests.unit.policy.addressing_rig import (
    CLOSED,
    OPEN,
    SECRET,
    UPSTREAMS,
    AddressingTests,
    meaning,
    route,
    spelt,
    token,
)


class SecretTests(AddressingTests):
    """The one key that every client can carry."""

    def test_shown(self) -> None:
        """The secret is accepted in each place, and never travels upstream."""
        for url, name, repository, shown_prefix in (
            (f"/{SECRET}/v2/alpine/manifests/1", "docker.io", "library/alpine", ""),
            (f"/{SECRET}/v2/ghcr.io/org/img/manifests/1", "ghcr.io", "org/img", "ghcr.io/"),
            (f"/{SECRET}/ghcr.io/v2/org/img/manifests/1", "ghcr.io", "org/img", ""),
            (f"/v2/{SECRET}/alpine/manifests/1", "docker.io", "library/alpine", f"{SECRET}/"),
            (f"/v2/{SECRET}/q/org/img/manifests/1", "quay", "org/img", f"{SECRET}/q/"),
            (f"/v2/{SECRET}/org/img/manifests/1?ns=ghcr.io", "ghcr.io", "org/img", f"{SECRET}/"),
            (f"/q/v2/{SECRET}/org/img/manifests/1", "quay", "org/img", f"{SECRET}/"),
            (
                f"/{SECRET}/v2/{SECRET}/hub/alpine/manifests/1",
                "docker.io",
                "library/alpine",
                f"{SECRET}/hub/",
            ),
            (f"/{SECRET}/v2/", "docker.io", None, ""),
            (f"/{SECRET}/hub/v2/", "docker.io", None, ""),
            (f"/{SECRET}/v1/search", "docker.io", None, ""),
        ):
            target = CLOSED.target(route(url), None)
            self.assertEqual(target.secret, SECRET)
            self.assertEqual(SecretPath(SECRET).shown_in(url.partition("?")[0].encode()), SECRET)
            self.assertEqual(target.upstream.name, name)
            self.assertEqual(spelt(target), repository)
            self.assertEqual(target.shown_prefix, shown_prefix)

    def test_bare_ping(self) -> None:
        """The bare ping is answered without it."""
        for url in ("/v2/", "/v2"):
            self.assertFalse(CLOSED.target(route(url), None).secret)

    def test_not_shown(self) -> None:
        """Everything else is 404, and alike for all that is not the secret."""
        for url in (
            "/hub/v2/",
            "/k7x9qq2n/v2/",
            "/v1/_ping",
            "/v1/search",
            "/v2/_catalog",
            "/v2/alpine/manifests/1",
            "/v2/alpine/manifests/1?ns=evil.example",
            "/v2/ghcr.io/org/img/manifests/1",
            "/v2/evil.example/a/manifests/1",
            f"/{SECRET.upper()}/v2/alpine/manifests/1",
            f"/v2/{SECRET}/manifests/1",
            f"/v2/{SECRET}x/alpine/manifests/1",
        ):
            error = self.refused(url, CLOSED)
            self.assertEqual((error.status, error.code), (404, "NOT_FOUND"), url)
            self.assertEqual(error.message, self.refused("/v2/a/manifests/1", CLOSED).message)

    def test_elsewhere(self) -> None:
        """Where it stands in a place that upstream would see, the request is 404."""
        for url in (
            f"/v2/ghcr.io/{SECRET}/img/manifests/1",
            f"/{SECRET}/v2/org/{SECRET}/manifests/1",
            f"/{SECRET}/v2/{SECRET}/manifests/1",
            f"/{SECRET}/{SECRET}/v2/alpine/manifests/1",
            f"/hub/{SECRET}/v2/alpine/manifests/1",
        ):
            self.assertEqual(self.refused(url, CLOSED).code, "NOT_FOUND", url)

    def test_any_field(self) -> None:
        """In any place of any field, in any case, it is 404 in the words of all others."""
        for url in (
            f"/{SECRET}/v2/alpine/manifests/1?ns={SECRET}",
            f"/{SECRET}/v2/alpine/manifests/1?ns={SECRET.upper()}",
            f"/{SECRET}/v2/alpine/manifests/1?ns=a.{SECRET}.example:5000",
            f"/{SECRET}/v2/alpine/manifests/{SECRET}",
            f"/{SECRET}/v2/alpine/manifests/v1.{SECRET.upper()}-x",
            f"/{SECRET}/v2/{SECRET}:5000/alpine/manifests/1",
            f"/v2/{SECRET}/{SECRET}:5000/alpine/manifests/1",
            f"/v2/{SECRET}/a/{SECRET}/manifests/1",
            f"/v2/{SECRET}/a/x-{SECRET}/manifests/1",
            f"/{SECRET}/a{SECRET}/v2/alpine/manifests/1",
            f"/{SECRET}/{SECRET}:5000/v2/alpine/manifests/1",
            f"/{SECRET}/v2/alpine/tags/list?last={SECRET}",
            f"/{SECRET}/v2/alpine/tags/list?last=%6B{SECRET[1:]}",
            f"/{SECRET}/v1/search?q={SECRET}",
            f"/v2/?ns={SECRET}",
        ):
            error = self.refused(url, CLOSED)
            plain = self.refused("/v2/a/manifests/1", CLOSED)
            self.assertEqual((error.code, error.message), (plain.code, plain.message), url)

    def test_bare_ping_tells_nothing(self) -> None:
        """Who asks without the secret whether an upstream is there meets the same 404."""
        error = self.refused("/v2/?ns=evil.example", CLOSED)
        self.assertEqual((error.code, error.message), ("NOT_FOUND", "no such endpoint"))
        self.assertEqual(self.refused("/v2/?ns=evil.example").code, "NAME_UNKNOWN")

    def test_messages_hold_no_secret(self) -> None:
        """An unknown upstream behind the secret is named without it."""
        for url in (f"/{SECRET}/gcr.io/v2/", f"/v2/{SECRET}/gcr.io/a/manifests/1"):
            error = self.refused(url, CLOSED)
            self.assertEqual(error.code, "NAME_UNKNOWN")
            self.assertNotIn(SECRET, error.message)

    def test_no_secret_set(self) -> None:
        """Without a secret path that segment is nothing special."""
        self.assertEqual(meaning(f"/v2/{SECRET}/alpine/manifests/1")[1], f"{SECRET}/alpine")


class SecretTokenTests(AddressingTests):
    """Tokens are given to those who bear the secret."""

    def test_in_the_path(self) -> None:
        """A path with the secret is enough, and scopes may show it too."""
        for url, scopes, expected in (
            (f"/{SECRET}/auth/token", "", ("docker.io", "", True)),
            (f"/{SECRET}/auth/q/token", "repository:a/b:pull", ("quay", "repository:a/b:pull", True)),
            (
                f"/{SECRET}/auth/token",
                f"repository:alpine:pull repository:{SECRET}/hub/alpine:pull",
                ("docker.io", "repository:library/alpine:pull", True),
            ),
        ):
            self.assertEqual(token(url, scopes, addressing=CLOSED), expected)

    def test_in_every_scope(self) -> None:
        """Otherwise each repository scope shows it, and there is one."""
        for url, scopes, expected in (
            (
                "/auth/token",
                f"repository:{SECRET}/alpine:pull",
                ("docker.io", "repository:library/alpine:pull", True),
            ),
            (
                "/auth/token",
                f"repository:{SECRET}/ghcr.io/a/b:pull",
                ("ghcr.io", "repository:a/b:pull", False),
            ),
            (
                "/auth/quay/token",
                f"aws repository:{SECRET}/q/a:pull",
                ("quay", "aws repository:a:pull", True),
            ),
        ):
            self.assertEqual(token(url, scopes, addressing=CLOSED), expected)

    def test_not_shown(self) -> None:
        """Everybody else is answered 404."""
        for url in ("/auth/token", "/auth/quay/token", "/auth/evil.example/token", "/wrong/auth/token"):
            for scopes in (
                "",
                "aws",
                "repository:alpine:pull",
                f"repository:{SECRET}/alpine:pull repository:alpine:pull",
                f"repository:{SECRET}:pull",
                f"repository:ghcr.io/{SECRET}/a:pull",
            ):
                self.assertEqual(self.refused_token(url, scopes, CLOSED), 404)

    def test_any_field(self) -> None:
        """Where it stands in what the token server would see, or in an upstream's name, it is 404."""
        for url, scopes in (
            (f"/{SECRET}/auth/{SECRET}/token", ""),
            (f"/{SECRET}/auth/{SECRET}:5000/token", ""),
            (f"/{SECRET}/auth/token?ns={SECRET}", ""),
            (f"/{SECRET}/auth/token", f"registry:{SECRET}:*"),
            (f"/{SECRET}/auth/token", SECRET),
            (f"/{SECRET}/auth/token", f"repository:{SECRET}/{SECRET}:5000/a:pull"),
            (f"/{SECRET}/auth/token", f"repository:a:{SECRET}"),
            ("/auth/token", f"repository:{SECRET}/a:pull aws:{SECRET.upper()}"),
        ):
            with self.subTest(url=url, scopes=scopes):
                with self.assertRaises(RegistryError) as caught:
                    token(url, scopes, addressing=CLOSED)
                self.assertEqual((caught.exception.status, caught.exception.code), (404, "NOT_FOUND"))

    def test_other_parameters(self) -> None:
        """It is no other parameter's value either."""
        asked = route(f"/{SECRET}/auth/token")
        with self.assertRaises(RegistryError) as caught:
            CLOSED.token_target(asked, None, (), ["service=x", f"account={SECRET}"])
        self.assertEqual(caught.exception.status, 404)
        self.assertEqual(CLOSED.token_target(asked, None, (), ["account=a"]).upstream.name, "docker.io")


NAMES = st.from_regex(
    r"[a-z0-9]{1,3}(\.[a-z]{1,2})?(/(hub|q|ghcr\.io|k7x9qq2m|a-b|c__d)){0,3}", fullmatch=True
)


SEGMENTS = ("v2", "v2", "v2", "alices-path", "alices-path", "bobs-path", SECRET, "q", "docker.io", "a")
ENDS = ("/manifests/1", "/tags/list", "/", "", "/v1/search")

GUARDED = Settings(
    ServerSettings(listen=(), secret_path=SECRET),
    UPSTREAMS,
    access=AccessSettings(keys=(KeySettings("alice", "alices-path"), KeySettings("bob", "bobs-path"))),
)
KEYED = Addressing(GUARDED)
KEYS = SecretPath.of(GUARDED)


class HostileTests(AddressingTests):
    """Requests made to confuse."""

    @settings(derandomize=True, max_examples=200)
    @given(NAMES, st.sampled_from(["", "/hub", f"/{SECRET}", f"/{SECRET}/q", "/x"]), st.text(max_size=20))
    def test_the_secret_stays(self, name: str, front: str, host: str) -> None:
        """Nothing but our own error escapes, and no accepted name holds the secret."""
        asked = Route(Kind.TAGS, tuple(front.split("/")[1:]), name)
        try:
            target = CLOSED.target(asked, host)
        except RegistryError:
            return
        self.assertTrue(target.secret)
        self.assertNotIn(SECRET, str(target.repository))
        self.assertIn(target.upstream, UPSTREAMS)

    @settings(derandomize=True, max_examples=500)
    @given(st.lists(st.sampled_from(SEGMENTS), max_size=6), st.sampled_from(ENDS))
    def test_the_key_is_seen(self, segments: list[str], end: str) -> None:
        """Whatever opens the mirror is seen in the raw path, whoseever it is: by it a request is counted."""
        path = "".join(f"/{segment}" for segment in segments) + end
        try:
            target = KEYED.target(route(path), None)
        except RegistryError:
            return
        self.assertEqual(KEYS.shown_in(path.encode()), target.secret)
        self.assertEqual(
            KEYS.key_in(path.encode()), {"alices-path": "alice", "bobs-path": "bob"}.get(target.secret, "")
        )

    @settings(derandomize=True, max_examples=200)
    @given(st.text(st.characters(codec="ascii"), max_size=30).map(lambda text: quote(text, safe=":/,.")))
    def test_scopes(self, text: str) -> None:
        """No scope makes a token request fail but by our own error."""
        try:
            found = OPEN.token_target(route("/auth/token"), None, parse_scopes([f"repository:{text}:pull"]))
        except RegistryError as error:
            self.assertIn(error.status, (400, 404))
        else:
            self.assertIn(found.upstream, UPSTREAMS)
