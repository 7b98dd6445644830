"""Tests for `docxy.policy.addressing`: which upstream is meant, and names on their way back."""

from __future__ import annotations

from dataclasses import replace

from docxy.oci.names import Repository
from docxy.policy.addressing import Addressing, Target, TokenTarget, client_path
from docxy.settings.values import ServerSettings, Settings, UpstreamSettings
from tests.unit.policy.addressing_rig import (
    CLOSED,
    DIGEST,
    GHCR,
    HUB,
    OPEN,
    PLAIN_DEFAULT,
    SECRET,
    AddressingTests,
    meaning,
    route,
    token,
)


class UpstreamTests(AddressingTests):
    """Which upstream is meant."""

    def test_default(self) -> None:
        """Where nothing names an upstream the first one is meant, with its official images completed."""
        for url, repository in (
            ("/v2/alpine/manifests/latest", "library/alpine"),
            ("/v2/library/alpine/manifests/latest", "library/alpine"),
            ("/v2/team/app/manifests/latest", "team/app"),
            ("/v2/hub/manifests/latest", "library/hub"),
            ("/v2/ghcr.io/manifests/latest", "library/ghcr.io"),
        ):
            self.assertEqual(meaning(url), ("docker.io", repository, "default"))

    def test_prefix(self) -> None:
        """A prefix in front of /v2 or in front of the name says which."""
        for url, name, repository in (
            ("/hub/v2/alpine/manifests/latest", "docker.io", "library/alpine"),
            ("/HUB/v2/alpine/manifests/latest", "docker.io", "library/alpine"),
            ("/v2/hub/alpine/manifests/latest", "docker.io", "library/alpine"),
            ("/v2/docker.io/library/alpine/manifests/latest", "docker.io", "library/alpine"),
            ("/v2/ghcr.io/org/img/manifests/latest", "ghcr.io", "org/img"),
            ("/v2/ghcr.io/img/manifests/latest", "ghcr.io", "img"),
            ("/ghcr.io/v2/org/img/manifests/latest", "ghcr.io", "org/img"),
            ("/ghcr.io/v2/q/img/manifests/latest", "ghcr.io", "q/img"),
            ("/v2/q/org/img/tags/list", "quay", "org/img"),
            ("/v2/r.lan:5000/img/manifests/latest", "r.lan:5000", "img"),
            ("/r.lan:5000/v2/img/manifests/latest", "r.lan:5000", "img"),
        ):
            self.assertEqual(meaning(url, host="quay.example"), (name, repository, "prefix"))

    def test_ns(self) -> None:
        """``ns`` says which, under the registry's name, its aliases, and where the URLs lead."""
        for ns, name in (
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("GHCR.io", "ghcr.io"),
            ("quay.io", "quay"),
            ("quay", "quay"),
            ("r.lan%3A5000", "r.lan:5000"),
        ):
            self.assertEqual(
                meaning(f"/v2/a/b/manifests/1?ns={ns}", host="mirror.example"), (name, "a/b", "ns")
            )

    def test_ns_keeps_strange_names(self) -> None:
        """Where ``ns`` says which, a first component with a dot is a part of the name."""
        self.assertEqual(meaning("/v2/a.b/c/manifests/1?ns=docker.io"), ("docker.io", "a.b/c", "ns"))

    def test_host(self) -> None:
        """``Host`` says which, with and without the port, as the settings have it."""
        for host, name, named_by in (
            ("mirror.example", "docker.io", "host"),
            ("Mirror.Example:5000", "docker.io", "host"),
            ("hub.example:8443", "docker.io", "host"),
            ("hub.example", "docker.io", "default"),
            ("QUAY.example.", "quay", "host"),
            ("[::1]:5000", "quay", "host"),
            ("[::1]", "docker.io", "default"),
            ("other.example", "docker.io", "default"),
            ('evil"', "docker.io", "default"),
            (None, "docker.io", "default"),
        ):
            self.assertEqual(meaning("/v2/a/b/manifests/1", host), (name, "a/b", named_by), host)

    def test_without_repository(self) -> None:
        """Pings, searches and catalogs are addressed alike."""
        for url, name, named_by in (
            ("/v2/", "docker.io", "default"),
            ("/q/v2/", "quay", "prefix"),
            ("/v2/?ns=ghcr.io", "ghcr.io", "ns"),
            ("/ghcr.io/v2/_catalog", "ghcr.io", "prefix"),
            ("/v1/_ping", "docker.io", "default"),
            ("/hub/v1/search?q=x", "docker.io", "prefix"),
        ):
            self.assertEqual(meaning(url), (name, None, named_by))

    def test_agreement(self) -> None:
        """A prefix and an ``ns`` that mean the same upstream are no contradiction."""
        for url, name in (
            ("/hub/v2/a/b/manifests/1?ns=docker.io", "docker.io"),
            ("/v2/hub/a/b/manifests/1?ns=index.docker.io", "docker.io"),
            ("/v2/q/a/b/manifests/1?ns=quay.io", "quay"),
        ):
            self.assertEqual(meaning(url), (name, "a/b", "prefix"))

    def test_contradiction(self) -> None:
        """A prefix and an ``ns`` of two upstreams are answered 400."""
        for url in ("/hub/v2/a/b/manifests/1?ns=ghcr.io", "/v2/ghcr.io/a/b/manifests/1?ns=docker.io"):
            self.assertEqual(self.refused(url).status, 400)

    def test_shared_registry(self) -> None:
        """Of two upstreams at one registry ``ns`` means the one of that name, and a prefix either."""
        team = UpstreamSettings(name="team", urls=("https://registry-1.docker.io",), prefixes=("team",))
        addressing = Addressing(Settings(ServerSettings(listen=()), (team, HUB)))
        self.assertEqual(meaning("/v2/a/b/manifests/1?ns=docker.io", addressing=addressing)[0], "docker.io")
        self.assertEqual(meaning("/team/v2/a/b/manifests/1?ns=docker.io", addressing=addressing)[0], "team")
        twice = Addressing(
            Settings(ServerSettings(listen=()), (team, replace(team, name="b", prefixes=("b",))))
        )
        self.assertEqual(meaning("/v2/a/b/manifests/1?ns=docker.io", addressing=twice)[0], "team")

    def test_unknown(self) -> None:
        """An upstream that is not listed is answered 404, with the setting that would add it."""
        for url, name in (
            ("/gcr.io/v2/a/b/manifests/1", "gcr.io"),
            ("/a/b/v2/c/manifests/1", "a/b"),
            ("/v2/gcr.io/a/b/manifests/1", "gcr.io"),
            ("/v2/evil.example/a/manifests/1", "evil.example"),
            ("/v2/localhost:5000/a/manifests/1", "localhost:5000"),
            ("/v2/a/b/manifests/1?ns=evil.example", "evil.example"),
            ("/v2/ghcr.io/a/b/manifests/1?ns=evil.example", "evil.example"),
            ("/v2/a/b/manifests/1?ns=ghcr.io:443", "ghcr.io:443"),
        ):
            error = self.refused(url, host="mirror.example")
            self.assertEqual((error.status, error.code), (404, "NAME_UNKNOWN"), url)
            self.assertIn(f'[[upstream]] name = "{name}"', error.message)

    def test_dots_are_names_elsewhere(self) -> None:
        """Without official images a first component with a dot is a name; one with a port never is."""
        self.assertEqual(
            meaning("/v2/a.b/c/manifests/1", addressing=PLAIN_DEFAULT), ("ghcr.io", "a.b/c", "default")
        )
        self.assertEqual(self.refused("/v2/a.b:1/c/manifests/1", PLAIN_DEFAULT).status, 404)

    def test_invalid_names(self) -> None:
        """What is left of the name has to be one that upstream can have."""
        for url in (
            "/hub/v2/a:1/b/manifests/1",
            "/v2/ghcr.io/a:1/b/manifests/1",
            "/v2/ghcr.io/" + "a" * 256 + "/manifests/1",
            "/v2/" + "a" * 250 + "/manifests/1",
        ):
            error = self.refused(url)
            self.assertEqual((error.status, error.code), (400, "NAME_INVALID"), url)


class TargetTests(AddressingTests):
    """What a target remembers of the client's way to say it."""

    def test_whole(self) -> None:
        """The client's prefix, base and ``ns`` are kept as they were written."""
        self.assertEqual(
            OPEN.target(route("/v2/ghcr.io/org/img/tags/list?ns=ghcr.io"), None),
            Target(GHCR, Repository.parse("org/img"), "ghcr.io/", "", "ghcr.io", "", "prefix"),
        )
        self.assertEqual(
            CLOSED.target(route(f"/{SECRET}/HUB/v2/alpine/tags/list"), None),
            Target(HUB, Repository.parse("library/alpine"), "", f"/{SECRET}/HUB", None, SECRET, "prefix"),
        )

    def test_repr_holds_no_secret(self) -> None:
        """Neither place where the secret may stand is shown."""
        for url in (f"/{SECRET}/v2/alpine/tags/list", f"/v2/{SECRET}/hub/alpine/tags/list"):
            self.assertNotIn(SECRET, repr(CLOSED.target(route(url), None)))


class RepositoriesTests(AddressingTests):
    """The limit to chosen repositories."""

    def test_inside(self) -> None:
        """What the patterns match, as upstream spells it, is served."""
        for name in ("team/app", "team/a/b", "tools"):
            self.assertEqual(meaning(f"/v2/chosen.example/{name}/manifests/1")[1], name)

    def test_outside(self) -> None:
        """All else is 403, and so are the lists of everything."""
        for url in (
            "/v2/chosen.example/team/manifests/1",
            "/v2/chosen.example/teams/app/manifests/1",
            f"/v2/chosen.example/other/blobs/{DIGEST}",
            "/v2/chosen.example/tools/x/tags/list",
            "/chosen.example/v2/_catalog",
            "/chosen.example/v1/search",
        ):
            error = self.refused(url)
            self.assertEqual((error.status, error.code), (403, "DENIED"), url)

    def test_ping(self) -> None:
        """Pings are answered as ever."""
        self.assertEqual(meaning("/chosen.example/v2/")[0], "chosen.example")

    def test_library(self) -> None:
        """Patterns meet the completed name."""
        hub = replace(HUB, repositories=("library/*",))
        addressing = Addressing(Settings(ServerSettings(listen=()), (hub,)))
        self.assertEqual(meaning("/v2/alpine/manifests/1", addressing=addressing)[1], "library/alpine")
        self.assertEqual(self.refused("/v2/team/app/manifests/1", addressing).status, 403)


class RealmPathTests(AddressingTests):
    """Where challenges send clients for tokens."""

    def test_paths(self) -> None:
        """The path names the upstream wherever the host and the default do not."""
        for addressing, url, host, path in (
            (OPEN, "/v2/", None, "/auth/token"),
            (OPEN, "/v2/alpine/manifests/1", None, "/auth/token"),
            (OPEN, "/v2/alpine/manifests/1", "mirror.example", "/auth/token"),
            (OPEN, "/v2/alpine/manifests/1?ns=docker.io", None, "/auth/docker.io/token"),
            (OPEN, "/hub/v2/", None, "/auth/docker.io/token"),
            (OPEN, "/q/v2/a/manifests/1", None, "/auth/quay/token"),
            (OPEN, "/v2/q/a/manifests/1?ns=quay.io", None, "/auth/quay/token"),
            (OPEN, "/v2/a/manifests/1?ns=quay.io", None, "/auth/quay/token"),
            (OPEN, "/v2/a/manifests/1", "quay.example", "/auth/quay/token"),
            (OPEN, "/r.lan:5000/v2/", None, "/auth/r.lan:5000/token"),
            (CLOSED, "/v2/", None, "/auth/token"),
            (CLOSED, f"/{SECRET}/v2/", None, f"/{SECRET}/auth/token"),
            (CLOSED, f"/{SECRET}/q/v2/", None, f"/{SECRET}/auth/quay/token"),
            (CLOSED, f"/q/v2/{SECRET}/a/manifests/1", None, f"/{SECRET}/auth/quay/token"),
        ):
            target = addressing.target(route(url), host)
            self.assertEqual(addressing.challenge_realm_path(target), path)

    def test_tokens_come_from_there(self) -> None:
        """A token request at that path means the upstream that was challenged for, with credentials."""
        for url in ("/v2/a/b/manifests/1", "/v2/q/a/b/manifests/1?ns=quay.io", "/hub/v2/", "/r.lan:5000/v2/"):
            for host in (None, "mirror.example", "quay.example"):
                target = OPEN.target(route(url), host)
                found = OPEN.token_target(route(OPEN.challenge_realm_path(target)), host, ())
                self.assertEqual(found, TokenTarget(target.upstream, (), True))

    def test_prefix_inside_the_name(self) -> None:
        """Credentials for our host name are not led to an upstream that only the image's name means."""
        for addressing, front, shown in ((OPEN, "", ""), (CLOSED, f"/{SECRET}", f"{SECRET}/")):
            for base in dict.fromkeys(("", front)):
                target = addressing.target(route(f"{base}/v2/{shown}q/a/b/manifests/1"), None)
                path = addressing.challenge_realm_path(target)
                self.assertEqual(path, f"{front}/auth/token")
                scope = addressing.client_scope(target, "repository:a/b:pull")
                found = token(path, scope, addressing=addressing)
                self.assertEqual(found, ("quay", "repository:a/b:pull", False))

    def test_nobody(self) -> None:
        """A ping that means nobody in particular is sent to the default's."""
        self.assertEqual(CLOSED.challenge_realm_path(None), "/auth/token")


class SpellingTests(AddressingTests):
    """Names on their way back to the client."""

    def test_scopes(self) -> None:
        """Repositories get the client's prefix back; other scopes stay as they are."""
        for addressing, url, shown in (
            (OPEN, "/v2/q/a/b/manifests/1", "repository:q/a/b:pull aws"),
            (OPEN, "/q/v2/a/b/manifests/1", "repository:a/b:pull aws"),
            (CLOSED, f"/v2/{SECRET}/q/a/b/manifests/1", f"repository:{SECRET}/q/a/b:pull aws"),
        ):
            target = addressing.target(route(url), None)
            self.assertEqual(addressing.client_scope(target, " repository:a/b:pull  aws "), shown)
        self.assertEqual(OPEN.client_scope(OPEN.target(route("/v2/"), None), ""), "")

    def test_scope_returns(self) -> None:
        """A scope spelt for the client is understood when it comes back."""
        target = CLOSED.target(route(f"/v2/{SECRET}/q/a/b/manifests/1"), None)
        scope = CLOSED.client_scope(target, "repository:a/b:pull")
        self.assertEqual(
            token("/auth/token", scope, addressing=CLOSED), ("quay", "repository:a/b:pull", False)
        )

    def test_paths(self) -> None:
        """A list's next page has the path of the first."""
        for addressing, path in (
            (OPEN, "/v2/alpine/tags/list"),
            (OPEN, "/hub/v2/alpine/tags/list"),
            (OPEN, "/v2/r.lan:5000/a/b/tags/list"),
            (OPEN, "/ghcr.io/v2/_catalog"),
            (OPEN, f"/v2/q/a/referrers/{DIGEST}"),
            (CLOSED, f"/{SECRET}/v2/alpine/tags/list"),
            (CLOSED, f"/v2/{SECRET}/alpine/tags/list"),
        ):
            asked = route(f"{path}?n=5")
            self.assertEqual(client_path(addressing.target(asked, None), asked), path)
