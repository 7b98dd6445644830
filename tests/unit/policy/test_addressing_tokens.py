"""Tests for `docxy.policy.addressing`: token requests."""

from __future__ import annotations

from docxy.policy.addressing import TokenTarget
from tests.unit.policy.addressing_rig import OPEN, QUAY, AddressingTests, route, token


class TokenTargetTests(AddressingTests):
    """Whom token requests mean."""

    def test_default(self) -> None:
        """Without any name the default is asked, with the client's credentials."""
        for scopes, mapped in (
            ("", ""),
            ("repository:alpine:pull", "repository:library/alpine:pull"),
            ("repository:team/app:push,pull", "repository:team/app:pull,push"),
            ("repository(plugin):team/p:pull", "repository(plugin):team/p:pull"),
            ("repository:hub:pull", "repository:library/hub:pull"),
        ):
            self.assertEqual(token("/auth/token", scopes), ("docker.io", mapped, True))

    def test_two_spellings(self) -> None:
        """The same repository spelt in two ways becomes one scope."""
        for url in ("/auth/token", "/auth/docker.io/token", "/auth/hub/token", "/auth/HUB/token"):
            scopes = (
                "repository:hub/library/alpine:pull repository:alpine:pull repository:library/alpine:push"
            )
            self.assertEqual(token(url, scopes)[1], "repository:library/alpine:pull,push")

    def test_path(self) -> None:
        """The path names the upstream by name or prefix, whatever else is said, and credentials go there."""
        for url, name in (
            ("/auth/ghcr.io/token", "ghcr.io"),
            ("/auth/quay/token", "quay"),
            ("/auth/q/token", "quay"),
            ("/auth/r.lan:5000/token", "r.lan:5000"),
        ):
            found = token(url, "repository:org/img:pull", host="mirror.example")
            self.assertEqual(found, (name, "repository:org/img:pull", True))

    def test_path_and_prefix(self) -> None:
        """Of a scope the named upstream's own prefix is taken off; any other is a part of the name there."""
        for scope, mapped in (
            ("repository:q/org/img:pull", "repository:org/img:pull"),
            ("repository:hub/img:pull", "repository:hub/img:pull"),
            ("repository:ghcr.io/img:pull", "repository:ghcr.io/img:pull"),
        ):
            self.assertEqual(token("/auth/quay/token", scope), ("quay", mapped, True))

    def test_host(self) -> None:
        """``Host`` names the upstream, and credentials go there."""
        for scopes in ("", "repository:org/img:pull"):
            self.assertEqual(token("/auth/token", scopes, "quay.example"), ("quay", scopes, True))

    def test_scope(self) -> None:
        """A scope's prefix names the upstream, against ``Host`` too, but no credentials go there."""
        for host in (None, "mirror.example", "quay.example"):
            found = token("/auth/token", "repository:ghcr.io/org/img:pull", host)
            self.assertEqual(found, ("ghcr.io", "repository:org/img:pull", False))

    def test_scope_of_the_host(self) -> None:
        """A scope's prefix that names the host's own upstream keeps the credentials."""
        for scope, host, name in (
            ("repository:hub/alpine:pull", None, "docker.io"),
            ("repository:docker.io/alpine:pull", "mirror.example", "docker.io"),
        ):
            self.assertEqual(
                token("/auth/token", scope, host), (name, "repository:library/alpine:pull", True)
            )
        self.assertEqual(
            token("/auth/token", "repository:q/a:pull", "quay.example"), ("quay", "repository:a:pull", True)
        )

    def test_other_kinds(self) -> None:
        """Scopes that name no repository are handed on untouched, in their order."""
        scopes = "aws registry:catalog:* repository:alpine:pull"
        mapped = "aws registry:catalog:* repository:library/alpine:pull"
        self.assertEqual(token("/auth/token", scopes), ("docker.io", mapped, True))

    def test_two_upstreams(self) -> None:
        """Scopes of two upstreams are answered 400."""
        for scopes in (
            "repository:ghcr.io/a:pull repository:q/a:pull",
            "repository:ghcr.io/a:pull repository:alpine:pull",
        ):
            self.assertEqual(self.refused_token("/auth/token", scopes), 400)

    def test_dropped(self) -> None:
        """Scopes of unknown registries and impossible names are dropped: less access is no error."""
        for scope in (
            "repository:evil.example/a/b:pull",
            "repository:localhost:5000/a:pull",
            "repository:UPPER/a:pull",
            "repository:../a:pull",
            "repository::pull",
            "repository:*:pull",
        ):
            self.assertEqual(token("/auth/token", scope), ("docker.io", "", True))

    def test_unknown_registry_beside_a_prefix(self) -> None:
        """A dropped scope is not counted as one of a second upstream."""
        found = token("/auth/token", "repository:evil.example/a/b:pull repository:ghcr.io/a:pull")
        self.assertEqual(found, ("ghcr.io", "repository:a:pull", False))

    def test_repositories(self) -> None:
        """Scopes outside the chosen repositories are dropped."""
        scopes = "repository:team/app:pull repository:other:pull repository:chosen.example/tools:pull"
        mapped = "repository:team/app:pull repository:tools:pull"
        self.assertEqual(token("/auth/chosen.example/token", scopes), ("chosen.example", mapped, True))

    def test_unknown(self) -> None:
        """An upstream in the path that is not listed is 404."""
        for url in ("/auth/evil.example/token", "/hub/auth/token", "/hub/auth/quay/token"):
            self.assertEqual(self.refused_token(url, ""), 404)

    def test_whole(self) -> None:
        """A token target holds the very upstream of the settings."""
        found = OPEN.token_target(route("/auth/quay/token"), None, ())
        self.assertEqual(found, TokenTarget(QUAY, (), True))
