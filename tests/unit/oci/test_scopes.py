"""
Tests for `docxy.oci.scopes`.
"""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.scopes import (
    Scope,
    Token,
    TokenInvalid,
    add_library,
    format_token,
    merge,
    parse_scopes,
    parse_token,
)

quick = settings(derandomize=True, max_examples=150, deadline=None)

SCOPES = [
    ("repository:library/alpine:pull", Scope("repository", "library/alpine", ("pull",))),
    ("repository:a/b:pull,push", Scope("repository", "a/b", ("pull", "push"))),
    ("repository:localhost:5000/a:pull", Scope("repository", "localhost:5000/a", ("pull",))),
    ("repository(plugin):a/b:pull", Scope("repository(plugin)", "a/b", ("pull",))),
    ("registry:catalog:*", Scope("registry", "catalog", ("*",))),
    ("repository:a/b:", Scope("repository", "a/b", ("",))),
    ("::", Scope("", "", ("",))),
    ("aws", Scope("aws", "", ())),
    ("a:b", Scope("a:b", "", ())),
    ("", Scope("", "", ())),
]
ROUND_TRIPS = st.text("ab:,()/", max_size=12) | st.text(max_size=20)


def refused(values: list[str]) -> bool:
    """Whether these parameters are refused as a bad request."""
    try:
        parse_scopes(values)
    except RegistryError as error:
        return error.status == 400
    return False


class ScopeTests(SynchronousTestCase):
    def test_table(self) -> None:
        """The first and the last colon separate; what has fewer than two is kept whole."""
        for text, scope in SCOPES:
            self.assertEqual(Scope.parse(text), scope)
            self.assertEqual(str(scope), text)

    @quick
    @given(ROUND_TRIPS)
    def test_round_trip(self, text: str) -> None:
        """Any text is a scope that is spelt the same."""
        self.assertEqual(str(Scope.parse(text)), text)

    def test_is_repository(self) -> None:
        """Repositories of every class count, other types and opaque scopes do not."""
        kinds = [Scope.parse(text).is_repository for text, _ in SCOPES]
        self.assertEqual(kinds, [True, True, True, True, False, True, False, False, False, False])
        self.assertFalse(Scope.parse("repository").is_repository)
        self.assertFalse(Scope.parse("repositoryx:a:pull").is_repository)

    def test_renamed(self) -> None:
        """Another name keeps type and actions."""
        self.assertEqual(
            str(Scope.parse("repository(x):a:pull,push").renamed("b")), "repository(x):b:pull,push"
        )

    def test_add_library(self) -> None:
        """Only names of one component are official images."""
        self.assertEqual([add_library("alpine"), add_library("a/b")], ["library/alpine", "a/b"])


class ParseScopesTests(SynchronousTestCase):
    def test_several(self) -> None:
        """Scopes come from several values, and several from one value, in their order."""
        scopes = parse_scopes(["repository:b:pull  repository:a:pull", "", " ", "aws", "aws"])
        self.assertEqual([str(s) for s in scopes], ["repository:b:pull", "repository:a:pull", "aws", "aws"])

    def test_limits(self) -> None:
        """At most 64 scopes of at most 512 characters each are read."""
        self.assertEqual(len(parse_scopes(["a " * 64])), 64)
        self.assertEqual(len(parse_scopes(["a" * 512])), 1)
        self.assertTrue(refused(["a " * 64, "a"]))
        self.assertTrue(refused(["a" * 513]))

    def test_characters(self) -> None:
        """Only characters that are safe in a quoted header value are taken."""
        for text in ('"', "\\", "\t", "\r", "\n", "\x00", "\x7f", "é", "\u00a0", "a\nb"):
            self.assertTrue(refused([text]), repr(text))
        self.assertEqual(str(parse_scopes(["!#[]~:*:%"])[0]), "!#[]~:*:%")

    @quick
    @given(st.lists(st.text(max_size=20), max_size=4))
    def test_any_values(self, values: list[str]) -> None:
        """Any values are scopes that are spelt the same, or refused."""
        if not refused(values):
            self.assertEqual(" ".join(map(str, parse_scopes(values))).split(), " ".join(values).split())


class MergeTests(SynchronousTestCase):
    def merged(self, text: str) -> str:
        """Scopes merged, all as text."""
        return " ".join(map(str, merge(map(Scope.parse, text.split()))))

    def test_joined(self) -> None:
        """Actions on one resource are joined, sorted and unique; resources keep their order."""
        self.assertEqual(
            self.merged("repository:b:push,pull repository:a:pull repository:b:pull,delete"),
            "repository:b:delete,pull,push repository:a:pull",
        )

    def test_apart(self) -> None:
        """Other types and opaque scopes are not joined with a repository of the same name."""
        self.assertEqual(
            self.merged("repository:a:pull repository(x):a:pull aws aws"),
            "repository:a:pull repository(x):a:pull aws",
        )
        self.assertEqual(self.merged("a a:: a"), "a a::")

    def test_no_action(self) -> None:
        """No action is dropped next to a real one, and kept alone."""
        self.assertEqual(self.merged("repository:a: repository:a:pull,"), "repository:a:pull")
        self.assertEqual(self.merged("repository:a:, repository:a:"), "repository:a:")

    @quick
    @given(st.lists(ROUND_TRIPS.map(Scope.parse), max_size=5))
    def test_idempotent(self, scopes: list[Scope]) -> None:
        """Merging again changes nothing, and no resource is lost."""
        once = merge(scopes)
        self.assertEqual(merge(once), once)
        self.assertEqual({(s.type, s.name) for s in once}, {(s.type, s.name) for s in scopes})


class TokenTests(SynchronousTestCase):
    def lifetime(self, value: object) -> int:
        """What a lifetime in the answer is taken for."""
        return parse_token(json.dumps({"token": "t", "expires_in": value}).encode()).expires_in

    def test_full(self) -> None:
        """Value, lifetime and time of issue are read, as Go writes the time."""
        body = (
            b'{"token":"abc","access_token":"x","expires_in":300,"issued_at":"1970-01-01T00:01:00.1234567Z"}'
        )
        self.assertEqual(parse_token(body), Token("abc", 300, 60.123456))

    def test_either_name(self) -> None:
        """The token may have either name; an empty one counts as absent."""
        for body in (b'{"access_token":"t"}', b'{"token":"t"}', b'{"token":"","access_token":"t"}'):
            self.assertEqual(parse_token(body), Token("t", 60, None))

    def test_lifetime(self) -> None:
        """A lifetime is never under a minute nor over 10**7 seconds."""
        table = [(None, 60), (0, 60), (-5, 60), (61, 61), (300.9, 300), (10**8, 10**7), (10**400, 10**7)]
        for value, seconds in table:
            self.assertEqual(self.lifetime(value), seconds)
        self.assertEqual(parse_token(b'{"token":"t","expires_in":1e999}').expires_in, 10**7)

    def test_issued_at(self) -> None:
        """A time of issue with a zone is read, any other is as good as none."""
        table = [
            ("1970-01-01T01:00:00+01:00", 0.0),
            ("1970-01-01T00:00:00", None),
            ("yesterday", None),
            ("\ud800", None),
            (0, None),
            (None, None),
        ]
        for value, seconds in table:
            body = json.dumps({"token": "t", "issued_at": value}).encode()
            self.assertEqual(parse_token(body).issued_at, seconds)

    def test_extremes_of_time(self) -> None:
        """The first and the last moment of the calendar are times like any other."""
        for value in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
            body = json.dumps({"token": "t", "issued_at": value}).encode()
            self.assertIsInstance(parse_token(body).issued_at, float)

    def test_invalid(self) -> None:
        """What is no JSON object with a usable token is TokenInvalid."""
        bodies = [
            b"",
            b"<html>",
            b"[]",
            b"null",
            b'"t"',
            b"{}",
            b"\xff\xfe",
            b"[" * 10**5,
            b'{"token":5}',
            b'{"token":["t"]}',
            b'{"token":"a b"}',
            b'{"token":"a\\r\\nb"}',
            b'{"token":"\\u00e9"}',
            b'{"token":"t","expires_in":"300"}',
            b'{"token":"t","expires_in":true}',
            b'{"token":"t","expires_in":NaN}',
            b'{"token":"t","expires_in":Infinity}',
            b'{"token":"t","expires_in":' + b"9" * 5000 + b"}",
        ]
        for body in bodies:
            self.assertRaises(TokenInvalid, parse_token, body)

    def test_secret(self) -> None:
        """Neither a token's repr nor an error shows a secret."""
        self.assertEqual(repr(Token("hunter2", 60, None)), "Token(expires_in=60, issued_at=None)")
        for body in (b'{"token":"hunter2"', b'{"token":"hunter2 "}'):
            error = self.assertRaises(TokenInvalid, parse_token, body)
            self.assertNotIn("hunter2", repr(error))
            self.assertIsNone(error.__context__)

    def test_format(self) -> None:
        """Our own answer gives the token under both names."""
        self.assertEqual(
            json.loads(format_token("abc", 120, "1970-01-01T00:00:00Z")),
            {"token": "abc", "access_token": "abc", "expires_in": 120, "issued_at": "1970-01-01T00:00:00Z"},
        )

    @quick
    @given(st.from_regex(r"[!-~]{1,40}", fullmatch=True), st.integers(60, 10**7))
    def test_round_trip(self, value: str, expires_in: int) -> None:
        """What we write is read as it was."""
        body = format_token(value, expires_in, "1970-01-01T00:00:07Z")
        self.assertEqual(parse_token(body), Token(value, expires_in, 7.0))

    @quick
    @given(
        st.binary(max_size=40)
        | st.dictionaries(
            st.sampled_from(["token", "access_token", "expires_in", "issued_at"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        ).map(lambda answer: json.dumps(answer).encode())
    )
    def test_any_body(self, body: bytes) -> None:
        """Any answer is a token within the limits, or TokenInvalid."""
        try:
            token = parse_token(body)
        except TokenInvalid:
            return
        self.assertTrue(token.value and 60 <= token.expires_in <= 10**7)
