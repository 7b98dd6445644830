"""
Tests for `docxy.oci.challenges`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.challenges import Challenge, basic, bearer, choose, parse

quick = settings(derandomize=True, max_examples=200, deadline=None)

HUB = Challenge("bearer", (("realm", "https://auth.docker.io/token"), ("service", "registry.docker.io")))
BASIC = Challenge("basic", (("realm", "x"),))
Y = Challenge("bearer", (("realm", "y"),))

LINES: list[tuple[list[str], list[Challenge]]] = [
    (['Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'], [HUB]),
    (['bearer  Realm = "https://auth.docker.io/token" , SERVICE = registry.docker.io '], [HUB]),
    (['Bearer realm="https://auth.docker.io/token"\tservice="registry.docker.io",'], [HUB]),
    (
        ['Bearer realm="r",service="s",scope="repository:a/b:pull",error="insufficient_scope"'],
        [
            Challenge(
                "bearer",
                (
                    ("realm", "r"),
                    ("service", "s"),
                    ("scope", "repository:a/b:pull"),
                    ("error", "insufficient_scope"),
                ),
            )
        ],
    ),
    (
        ['Bearer realm="y",scope="repository:a/b:pull,push repository:c/d:pull"'],
        [Challenge("bearer", (("realm", "y"), ("scope", "repository:a/b:pull,push repository:c/d:pull")))],
    ),
    (
        ["Bearer realm=https://gcr.io/v2/token?a=b,service=gcr.io"],
        [Challenge("bearer", (("realm", "https://gcr.io/v2/token?a=b"), ("service", "gcr.io")))],
    ),
    (['Bearer realm="y"'], [Y]),
    (
        ['Bearer realm="y",scope="",service=,error=e'],
        [Challenge("bearer", (("realm", "y"), ("scope", ""), ("service", ""), ("error", "e")))],
    ),
    (
        ["Bearer realm=,service=s"],
        [Challenge("bearer", (("realm", ""), ("service", "s")))],
    ),
    ([r'Bearer realm="a\"b\\c, d=\e"'], [Challenge("bearer", (("realm", r'a"b\c, d=e'),))]),
    (['Basic realm="x"', 'Bearer realm="y"'], [BASIC, Y]),
    (['Basic realm="x", Bearer realm="y"'], [BASIC, Y]),
    (["Bearer realm=y,Basic realm=x"], [Y, BASIC]),
    (["Negotiate, Basic realm=x"], [Challenge("negotiate"), BASIC]),
    (["Negotiate abc/+==, Basic realm=x"], [Challenge("negotiate"), BASIC]),
    (["NTLM"], [Challenge("ntlm")]),
    (["Digest qop=auth, nonce=abc=="], [Challenge("digest", (("qop", "auth"), ("nonce", "abc==")))]),
    (["Bearer"], [Challenge("bearer")]),
    (["Bearer Basic realm=x"], [Challenge("bearer"), BASIC]),
    (["", "   ", ",,,"], []),
    (["<html>, Basic realm=x"], [BASIC]),
    (['="a, Bearer realm=evil", Basic realm=x'], [BASIC]),
    (['="a, Bearer realm=evil'], []),
    (['x\\", Basic realm=x'], [BASIC]),
    (["x\\"], []),
    (['Basic realm=x, ="unclosed \\'], [BASIC]),
    (['Bearer realm="unclosed, Basic realm=x'], [Challenge("bearer")]),
    (["Basic realm=x\r\nSet-Cookie: a=b", "Bearer realm=y"], [Y]),
    (['Basic realm="\x7f"', 'Basic realm="\x00"', 'Basic realm="caf\xe9"'], []),
]
HOSTILE = [
    'Bearer realm="' + '\\"' * 7000,
    "Bearer " + "a" * 16000,
    "a " * 8000,
    "a=" * 8000,
    '="' * 8000,
    'a="\\"' * 3000,
    "Bearer " + "a=b," * 4000,
    "," * 16000,
    "x " + "=" * 16000,
    "Bearer a" + " " * 16000 + "b",
]


class ParseTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Every form that registries were seen to send is understood, and garbage is skipped."""
        for lines, challenges in LINES:
            self.assertEqual(list(parse(lines)), challenges, lines)

    def test_number(self) -> None:
        """At most 16 challenges are read, from one line or from many."""
        self.assertEqual(len(parse(["NTLM"] * 20)), 16)
        self.assertEqual(len(parse(["NTLM," * 20])), 16)

    def test_size(self) -> None:
        """A line that exceeds 16 KiB in all ends the reading."""
        line = 'Basic realm="' + "a" * 8000 + '"'
        self.assertEqual(len(parse([line, line, "NTLM"])), 3)
        self.assertEqual(len(parse([line, line, line, "NTLM"])), 2)
        self.assertEqual(parse(["a" * 16385]), ())

    def test_hostile(self) -> None:
        """Long nonsense is read in one pass, and does not become many challenges."""
        for line in HOSTILE:
            self.assertLessEqual(len(parse([line])), 16)

    @quick
    @given(st.lists(st.text(max_size=40) | st.text('ab ,="\\\t', max_size=40), max_size=3))
    def test_any_lines(self, lines: list[str]) -> None:
        """Any lines are read without an error, and what is read is printable ASCII."""
        for challenge in parse(lines):
            for text in (challenge.scheme, *(text for param in challenge.params for text in param)):
                self.assertTrue(text.isascii() and text.isprintable())


class ChallengeTests(SynchronousTestCase):
    def test_get(self) -> None:
        """The first value of a parameter counts; an absent one is None."""
        [challenge] = parse(['Bearer realm="a",realm="b",scope=""'])
        self.assertEqual([challenge.get(name) for name in ("realm", "scope", "error")], ["a", "", None])

    def test_choose(self) -> None:
        """Bearer is preferred to Basic, whatever their order; other schemes are no choice."""
        other = Challenge("negotiate")
        self.assertEqual(choose([other, BASIC, Y, HUB]), Y)
        self.assertEqual(choose([other, BASIC]), BASIC)
        self.assertIsNone(choose([other]))
        self.assertIsNone(choose([]))


class BearerTests(SynchronousTestCase):
    def test_canonical(self) -> None:
        """The form is the one of the token specification, in its order."""
        self.assertEqual(
            bearer("https://m/auth/token", service="s", scope="repository:a:pull", error="invalid_token"),
            'Bearer realm="https://m/auth/token",service="s",scope="repository:a:pull",error="invalid_token"',
        )

    def test_empty(self) -> None:
        """Empty values are left out, since some clients stop reading there."""
        self.assertEqual(bearer("r", service="", scope=None, error=""), 'Bearer realm="r"')

    def test_unsafe(self) -> None:
        """What cannot stand in one header line is a ValueError."""
        for text in ("a\r\nb", "\x00", "\t", "\x7f", "é"):
            self.assertRaises(ValueError, bearer, text)
            self.assertRaises(ValueError, bearer, "r", scope=text)

    @quick
    @given(st.lists(st.from_regex(r"[ -~]{1,20}", fullmatch=True), min_size=4, max_size=4))
    def test_round_trip(self, values: list[str]) -> None:
        """Whatever is written is read as it was."""
        realm, service, scope, error = values
        line = bearer(realm, service=service, scope=scope, error=error)
        names = ("realm", "service", "scope", "error")
        self.assertEqual(parse([line]), (Challenge("bearer", tuple(zip(names, values, strict=True))),))


class BasicTests(SynchronousTestCase):
    def test_both_ways(self) -> None:
        """A realm is quoted, and read as it was written."""
        self.assertEqual(basic('a "b"'), r'Basic realm="a \"b\""')
        self.assertEqual(parse([basic('a "b"')]), (Challenge("basic", (("realm", 'a "b"'),)),))

    def test_unsafe(self) -> None:
        """A realm that cannot stand in one header line is a ValueError."""
        self.assertRaises(ValueError, basic, "a\r\nb")
