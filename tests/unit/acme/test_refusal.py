"""Tests for `docxy.acme.refusal`: one line for each of the library's errors."""

from __future__ import annotations

import requests
from acme import errors, messages
from hypothesis import given
from hypothesis import strategies as st
from josepy.errors import DeserializationError
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.refusal import EXPECTED, problem_of, words

PREFIX = "urn:ietf:params:acme:error:"


def authorization(*challenges: dict[str, object]) -> messages.AuthorizationResource:
    """One for a.example, with these challenges."""
    body = {
        "identifier": {"type": "dns", "value": "a.example"},
        "status": "invalid",
        "challenges": [{"url": "https://ca.example/1", "token": "a" * 22, **one} for one in challenges],
    }
    return messages.AuthorizationResource(body=messages.Authorization.from_json(body))


class ProblemTests(SynchronousTestCase):
    def test_each(self) -> None:
        """The authority's own words, or what became of the connection."""
        limited = messages.Error.from_json(
            {"type": f"{PREFIX}rateLimited", "detail": "too many\ncertificates"}
        )
        below = messages.Error.from_json(
            {
                "type": f"{PREFIX}rejectedIdentifier",
                "title": "Rejected",
                "subproblems": [
                    {
                        "type": f"{PREFIX}caa",
                        "detail": "not us",
                        "identifier": {"type": "dns", "value": "a.example"},
                    },
                    {"type": f"{PREFIX}dns"},
                ],
            }
        )
        refused = requests.exceptions.ConnectionError(Exception("wrapped"))
        refused.args[0].reason = "Connection refused"
        for error, told in (
            (limited, "rateLimited: too many certificates"),
            (errors.IssuanceError(limited), "rateLimited: too many certificates"),
            (below, "rejectedIdentifier: Rejected (a.example: caa: not us; dns: no reason given)"),
            (errors.TimeoutError(), "the authority took too long to decide"),
            (refused, "the authority cannot be met (Connection refused)"),
            (requests.exceptions.ReadTimeout("slow"), "the authority cannot be met (slow)"),
            (requests.exceptions.ReadTimeout(), "the authority cannot be met ()"),
            (OverflowError("too long"), "the authority's answer makes no sense (OverflowError: too long)"),
            (RecursionError(), "the authority's answer makes no sense (RecursionError: )"),
            (
                DeserializationError("status"),
                "the authority's answer makes no sense (DeserializationError: Deserialization error: status)",
            ),
            (KeyError("newOrder"), "the authority's answer makes no sense (KeyError: 'newOrder')"),
        ):
            assert isinstance(error, EXPECTED)
            self.assertEqual(problem_of(error), told)

    def test_validation(self) -> None:
        """Each challenge that failed is told with its name and its kind, also an unknown kind."""
        failed = authorization(
            {"type": "http-01", "error": {"type": f"{PREFIX}dns", "detail": "NXDOMAIN"}},
            {"type": "tls-alpn-01", "error": {"type": f"{PREFIX}tls", "detail": "refused"}},
            {"type": "dns-01"},
        )
        told = "a.example: by http-01: dns: NXDOMAIN; a.example: by tls-alpn-01: tls: refused"
        self.assertEqual(problem_of(errors.ValidationError([failed])), told)
        many = str(problem_of(errors.ValidationError([failed] * 50)))
        self.assertEqual((many.count("NXDOMAIN"), many.endswith("; and 95 more")), (3, True))
        silent = errors.ValidationError([authorization()])
        self.assertEqual(problem_of(silent), "an authorization failed, without a reason")

    @given(st.text())
    def test_words(self, text: str) -> None:
        """Whatever an authority says is one short line."""
        line = words(text * 3)
        self.assertTrue(line == "" or line.isprintable())
        self.assertLessEqual(len(line), 600)
