"""
Tests for `docxy.oci.errors`.
"""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci import errors
from docxy.oci.errors import MANIFEST_UNKNOWN, UNAVAILABLE, ErrorCode, RegistryError

quick = settings(derandomize=True, max_examples=50, deadline=None)

STATUSES = {
    "BLOB_UNKNOWN": ("BLOB_UNKNOWN", 404),
    "DENIED": ("DENIED", 403),
    "DIGEST_INVALID": ("DIGEST_INVALID", 400),
    "MANIFEST_INVALID": ("MANIFEST_INVALID", 400),
    "MANIFEST_UNKNOWN": ("MANIFEST_UNKNOWN", 404),
    "NAME_INVALID": ("NAME_INVALID", 400),
    "NAME_UNKNOWN": ("NAME_UNKNOWN", 404),
    "NOT_FOUND": ("NOT_FOUND", 404),
    "PAGINATION_NUMBER_INVALID": ("PAGINATION_NUMBER_INVALID", 400),
    "RANGE_INVALID": ("RANGE_INVALID", 416),
    "REQUEST_INVALID": ("UNSUPPORTED", 400),
    "SIZE_INVALID": ("SIZE_INVALID", 413),
    "TAG_INVALID": ("TAG_INVALID", 400),
    "TOOMANYREQUESTS": ("TOOMANYREQUESTS", 429),
    "UNAUTHORIZED": ("UNAUTHORIZED", 401),
    "UNAVAILABLE": ("UNAVAILABLE", 503),
    "UNKNOWN": ("UNKNOWN", 500),
    "UNSUPPORTED": ("UNSUPPORTED", 405),
}


class ErrorCodeTests(SynchronousTestCase):
    def test_named_values(self) -> None:
        """Each named value has the specification's code and its usual status."""
        named = {name: value for name, value in vars(errors).items() if isinstance(value, ErrorCode)}
        self.assertEqual({name: (value.code, value.status) for name, value in named.items()}, STATUSES)

    def test_defaults(self) -> None:
        """An error without further words has its code's status and message."""
        error = MANIFEST_UNKNOWN.error()
        self.assertEqual(
            (error.status, error.code, error.message, error.detail, error.headers),
            (404, "MANIFEST_UNKNOWN", "manifest unknown", None, ()),
        )

    def test_own_words(self) -> None:
        """Message, status, detail and headers may be given with the error."""
        error = UNAVAILABLE.error("gone", status=504, detail=[1], headers=(("Retry-After", "5"),))
        self.assertEqual(
            (error.status, error.code, error.message, error.detail, error.headers),
            (504, "UNAVAILABLE", "gone", [1], (("Retry-After", "5"),)),
        )

    def test_readable(self) -> None:
        """The error's text says what the client is told."""
        self.assertEqual(str(MANIFEST_UNKNOWN.error()), "404 MANIFEST_UNKNOWN: manifest unknown")


class BodyTests(SynchronousTestCase):
    def test_without_detail(self) -> None:
        """Detail is left out where there is none."""
        self.assertEqual(
            json.loads(MANIFEST_UNKNOWN.error().body()),
            {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]},
        )

    def test_with_detail(self) -> None:
        """Detail is part of the error, even where it is falsy."""
        for detail in ({}, 0, {"name": "a/b"}):
            [error] = json.loads(MANIFEST_UNKNOWN.error(detail=detail).body())["errors"]
            self.assertEqual(error["detail"], detail)

    def test_detail_beyond_json(self) -> None:
        """Detail that JSON cannot express is written as text instead of failing."""
        [error] = json.loads(MANIFEST_UNKNOWN.error(detail=1 + 2j).body())["errors"]
        self.assertEqual(error["detail"], "(1+2j)")

    @quick
    @given(st.text(st.characters(), max_size=30))
    def test_any_message(self, message: str) -> None:
        """Whatever the message holds, the body is printable ASCII and gives it back."""
        body = RegistryError(400, "UNKNOWN", message).body()
        self.assertTrue(body.isascii() and body.decode("ascii").isprintable())
        self.assertEqual(json.loads(body)["errors"][0]["message"], message)
