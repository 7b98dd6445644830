"""
Tests for `docxy.oci.routes`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.names import Digest, Tag
from docxy.oci.routes import Kind, Route, parse

quick = settings(derandomize=True, max_examples=200, deadline=None)

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)
LATEST = Tag("latest")

ROUTES = [
    ("/v2/", Route(Kind.PING)),
    ("/v2", Route(Kind.PING)),
    ("/hub/v2/", Route(Kind.PING, ("hub",))),
    ("/k7x~A/localhost:5000/v2", Route(Kind.PING, ("k7x~A", "localhost:5000"))),
    ("/v2/_catalog", Route(Kind.CATALOG)),
    ("/v2/a/manifests/latest", Route(Kind.MANIFEST, (), "a", LATEST)),
    ("/v2/library/alpine/manifests/latest", Route(Kind.MANIFEST, (), "library/alpine", LATEST)),
    ("/hub/v2/a/b/c/manifests/latest", Route(Kind.MANIFEST, ("hub",), "a/b/c", LATEST)),
    (f"/v2/a/manifests/sha256:{HEX}", Route(Kind.MANIFEST, (), "a", DIGEST)),
    (f"/v2/a/manifests/sha256%3A{HEX}", Route(Kind.MANIFEST, (), "a", DIGEST)),
    (f"/v2/a/blobs/sha256%3a{HEX}", Route(Kind.BLOB, (), "a", DIGEST)),
    (f"/v2/a/referrers/sha256:{HEX}", Route(Kind.REFERRERS, (), "a", DIGEST)),
    ("/v2/a/tags/list", Route(Kind.TAGS, (), "a")),
    # Names that hold the words of the grammar.
    ("/v2/manifests/manifests/latest", Route(Kind.MANIFEST, (), "manifests", LATEST)),
    ("/v2/foo/v2/manifests/latest", Route(Kind.MANIFEST, (), "foo/v2", LATEST)),
    ("/v2/v2/v2/manifests/latest", Route(Kind.MANIFEST, (), "v2/v2", LATEST)),
    (f"/v2/a/manifests/x/blobs/sha256:{HEX}", Route(Kind.BLOB, (), "a/manifests/x", DIGEST)),
    ("/v2/tags/list/manifests/latest", Route(Kind.MANIFEST, (), "tags/list", LATEST)),
    ("/v2/a/tags/manifests/list", Route(Kind.MANIFEST, (), "a/tags", Tag("list"))),
    ("/v2/a/manifests/tags/list", Route(Kind.TAGS, (), "a/manifests")),
    ("/v2/a/blobs/uploads/manifests/latest", Route(Kind.MANIFEST, (), "a/blobs/uploads", LATEST)),
    ("/v2/a/blobs/uploads/tags/list", Route(Kind.TAGS, (), "a/blobs/uploads")),
    # A secret and an upstream's host in front of the name.
    ("/v2/localhost:5000/a/manifests/latest", Route(Kind.MANIFEST, (), "localhost:5000/a", LATEST)),
    ("/v2/k7x/h:1/a/b/manifests/latest", Route(Kind.MANIFEST, (), "k7x/h:1/a/b", LATEST)),
    # The first word of the grammar ends the prefix.
    ("/a/b/v2/v1/manifests/latest", Route(Kind.MANIFEST, ("a", "b"), "v1", LATEST)),
    ("/v1/_ping", Route(Kind.V1_PING)),
    ("/k7x/hub/v1/search", Route(Kind.V1_SEARCH, ("k7x", "hub"))),
]
TOKENS = [
    ("/auth/token", Route(Kind.TOKEN)),
    ("/auth/ghcr.io/token", Route(Kind.TOKEN, ("ghcr.io",), token_upstream="ghcr.io")),
    ("/auth/token/token", Route(Kind.TOKEN, ("token",), token_upstream="token")),
    ("/k7x/auth/token", Route(Kind.TOKEN, ("k7x",))),
    ("/k7x/auth/h:1/token", Route(Kind.TOKEN, ("k7x", "h:1"), token_upstream="h:1")),
]
UPLOADS = [
    "/v2/foo/blobs/uploads/",
    "/v2/foo/blobs/uploads",
    "/v2/foo/blobs/uploads/some-id",
    "/hub/v2/a/b/blobs/uploads/",
]
UNKNOWN_PATHS = [
    "/",
    "//",
    "//v2/",
    "/../v2/",
    "/./v2/",
    "/.../v3/",
    "/a/b/c/v2/",
    "/%2e%2e/v2/",
    "/a;b/v2/",
    "/a b/v2/",
    "/" + "a" * 129 + "/v2/",
    "/V2/",
    "/v2//",
    "/v2/a",
    "/v2/_catalog/",
    "/v2/_catalogs",
    "/v2/manifests",
    "/v2/a/manifests",
    "/v2/a/manifests/b/c",
    "/v2/a/tags",
    "/v2/a/tags/list/",
    "/v2/a/blobs/uploads/id/more",
    "/v1/",
    "/v1",
    "/v1/_ping/",
    "/v1/users",
    "/v1/v2/a/manifests/latest",
    "/auth",
    "/auth/",
    "/auth/token/",
    "/auth//token",
    "/auth/%2e/token",
    "/auth/../token",
    "/auth/a/b/token",
    "/auth/v2/",
    "/a/b/auth/token",
    "/auth%2ftoken",
    "/auth/TOKEN",
    "/health",
]
MALFORMED = [
    ("", "UNSUPPORTED"),
    ("v2/", "UNSUPPORTED"),
    ("*", "UNSUPPORTED"),
    ("http://evil/v2/", "UNSUPPORTED"),
    ("/v2/" + "a" * 5000, "UNSUPPORTED"),
    ("/v2/A/manifests/x", "NAME_INVALID"),
    ("/v2/manifests/latest", "NAME_INVALID"),
    ("/v2/tags/list", "NAME_INVALID"),
    ("/v2/blobs/uploads/", "NAME_INVALID"),
    ("/v2/A/blobs/uploads/", "NAME_INVALID"),
    ("/v2/_catalog/v2/manifests/latest", "NAME_INVALID"),
    (f"/v2/a%2Fb/blobs/sha256:{HEX}", "NAME_INVALID"),
    (f"/v2/a%3A5/b/blobs/sha256:{HEX}", "NAME_INVALID"),
    ("/v2/a//b/manifests/latest", "NAME_INVALID"),
    ("/v2//a/manifests/latest", "NAME_INVALID"),
    ("/v2/a/../b/manifests/latest", "NAME_INVALID"),
    ("/v2/a;b/manifests/latest", "NAME_INVALID"),
    ("/v2/a\\b/manifests/latest", "NAME_INVALID"),
    ("/v2/caf\xe9/manifests/latest", "NAME_INVALID"),
    ("/v2/a\n/manifests/latest", "NAME_INVALID"),
    ("/v2/localhost:5000/manifests/latest", "NAME_INVALID"),
    ("/v2/a/b/c:1/d/manifests/latest", "NAME_INVALID"),
    ("/v2/a:/b/manifests/latest", "NAME_INVALID"),
    ("/v2/a:123456/b/manifests/latest", "NAME_INVALID"),
    ("/v2/" + "a" * 320 + "/manifests/latest", "NAME_INVALID"),
    ("/v2/" + "a-" * 150 + "!/manifests/latest", "NAME_INVALID"),
    ("/v2/library/alpine/manifests/..%2f..", "TAG_INVALID"),
    ("/v2/a/manifests/", "TAG_INVALID"),
    ("/v2/a/manifests/..", "TAG_INVALID"),
    ("/v2/a/manifests/" + "x" * 129, "TAG_INVALID"),
    ("/v2/a/manifests/a%253Ab", "TAG_INVALID"),
    ("/v2/a/manifests/latest;v=1", "TAG_INVALID"),
    (f"/v2/a/manifests/sha256:{HEX.upper()}", "DIGEST_INVALID"),
    ("/v2/a/blobs/", "DIGEST_INVALID"),
    ("/v2/a/blobs/latest", "DIGEST_INVALID"),
    ("/v2/a/referrers/latest", "DIGEST_INVALID"),
    ("/v2/a/blobs/sha256:abc", "DIGEST_INVALID"),
    (f"/v2/a/blobs/sha256%253A{HEX}", "DIGEST_INVALID"),
]


def outcome(path: str, method: bytes = b"GET", query: bytes = b"") -> Route | tuple[int, str]:
    """The route of a request, or status and code of what refuses it."""
    try:
        return parse(method, path.encode("latin-1"), query)
    except RegistryError as error:
        return error.status, error.code


def client_path(route: Route) -> str:
    """The path that a route of a manifest was read from."""
    return "/".join(["", *route.prefix, "v2", str(route.name), "manifests", str(route.reference)])


class PathTests(SynchronousTestCase):
    def test_known(self) -> None:
        """Each endpoint is found under its path, with its prefix and name, for GET and HEAD."""
        for path, route in ROUTES:
            for method in (b"GET", b"HEAD"):
                self.assertEqual(outcome(path, method), route, path)

    def test_token(self) -> None:
        """The token endpoint takes GET and POST, with an upstream and a secret in its path."""
        for path, route in TOKENS:
            for method in (b"GET", b"POST"):
                self.assertEqual(outcome(path, method), route, path)

    def test_unknown(self) -> None:
        """Any other path is a 404, whatever the method."""
        for path in UNKNOWN_PATHS:
            for method in (b"GET", b"PUT"):
                self.assertEqual(outcome(path, method), (404, "NOT_FOUND"), path)

    def test_malformed(self) -> None:
        """A malformed part is a 400 with the code of that part, whatever the method."""
        for path, code in MALFORMED:
            for method in (b"GET", b"DELETE"):
                self.assertEqual(outcome(path, method), (400, code), path)

    def test_grammar_of_unknown_digests(self) -> None:
        """An encoded colon in the last segment makes a digest of whatever algorithm."""
        self.assertEqual(
            outcome("/v2/a/manifests/latest%3Ax"), Route(Kind.MANIFEST, (), "a", Digest("latest", "x"))
        )

    def test_longest_name(self) -> None:
        """A name has room for a secret or a host in front of 255 characters."""
        name = "k" * 63 + "/" + "a" * 255
        self.assertEqual(outcome(f"/v2/{name}/manifests/latest"), Route(Kind.MANIFEST, (), name, LATEST))

    @quick
    @given(
        st.text("av2/:%3A.manifestsblobs", max_size=40)
        | st.text(st.characters(max_codepoint=255), max_size=40)
    )
    def test_any_path(self, tail: str) -> None:
        """Any path has a route or a 400 or 404 of ours."""
        for path in (tail, f"/v2/{tail}", f"/{tail}/manifests/latest", f"/auth/{tail}"):
            found = outcome(path)
            if not isinstance(found, Route):
                self.assertIn(found[0], (400, 404))

    @quick
    @given(
        st.lists(
            st.from_regex(r"[a-u][a-z0-9.]{0,5}", fullmatch=True).filter(lambda s: s != "auth"), max_size=2
        ),
        st.lists(
            st.sampled_from(["a", "v2", "tags", "blobs", "manifests", "list", "uploads"]),
            min_size=1,
            max_size=5,
        ),
        st.sampled_from([LATEST, DIGEST, Tag("list"), Tag("uploads")]),
    )
    def test_round_trip(self, prefix: list[str], name: list[str], reference: Tag | Digest) -> None:
        """Whatever words a name is made of, its manifest's path is read as it was written."""
        route = Route(Kind.MANIFEST, tuple(prefix), "/".join(name), reference)
        self.assertEqual(outcome(client_path(route)), route)


class MethodTests(SynchronousTestCase):
    def refusal(self, method: bytes, path: bytes) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        """Status, code and headers of what refuses a request."""
        error = self.assertRaises(RegistryError, parse, method, path, b"")
        return error.status, error.code, error.headers

    def test_reading_only(self) -> None:
        """Other methods than GET and HEAD are a 405 that names those two."""
        for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"get", b""):
            for path in (
                b"/v2/",
                b"/v2/a/manifests/latest",
                b"/v2/_catalog",
                b"/v1/_ping",
                b"/v2/a/tags/list",
            ):
                self.assertEqual(self.refusal(method, path), (405, "UNSUPPORTED", (("Allow", "GET, HEAD"),)))

    def test_token(self) -> None:
        """Other methods than GET and POST on the token endpoint are a 405 that names those two."""
        for method in (b"HEAD", b"PUT"):
            self.assertEqual(
                self.refusal(method, b"/auth/token"), (405, "UNSUPPORTED", (("Allow", "GET, POST"),))
            )

    def test_uploads(self) -> None:
        """An upload is a 405, and a 404 to GET and HEAD."""
        for path in UPLOADS:
            for method in (b"GET", b"HEAD"):
                self.assertEqual(outcome(path, method), (404, "NOT_FOUND"))
            for method in (b"POST", b"PUT", b"PATCH", b"DELETE"):
                self.assertEqual(
                    self.refusal(method, path.encode()), (405, "UNSUPPORTED", (("Allow", "GET, HEAD"),))
                )


class QueryTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """The query is kept byte for byte, without the namespace."""
        self.assertEqual(
            outcome("/v2/a/manifests/latest", query=b"b=%2f&ns=Quay.io&a=+"),
            Route(Kind.MANIFEST, (), "a", LATEST, "quay.io", b"b=%2f&a=+"),
        )

    def test_pages(self) -> None:
        """Only lists are paged: elsewhere ``n`` means nothing."""
        self.assertEqual(
            outcome("/v2/a/tags/list", query=b"n=5000"), Route(Kind.TAGS, (), "a", query=b"n=1000")
        )
        self.assertEqual(outcome("/v2/_catalog", query=b"n=x"), (400, "PAGINATION_NUMBER_INVALID"))
        self.assertEqual(outcome("/v2/", query=b"n=x"), Route(Kind.PING, query=b"n=x"))

    def test_malformed(self) -> None:
        """A malformed query is a 400 before the method is looked at."""
        for query in (b"\x00", b"a=\r\n", b"ns=", b"ns=a&ns=b", b"a" * 8193):
            self.assertEqual(outcome("/v2/", b"PUT", query), (400, "UNSUPPORTED"))

    @quick
    @given(st.binary(max_size=40) | st.text("ns=&%3:a1", max_size=30).map(str.encode))
    def test_any_query(self, query: bytes) -> None:
        """Any query is kept or is a 400 of ours."""
        found = outcome("/v2/a/tags/list", query=query)
        if not isinstance(found, Route):
            self.assertEqual(found[0], 400)
