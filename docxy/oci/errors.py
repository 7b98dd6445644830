"""
What a client is told when it cannot have what it asked for.

Owns the error codes of the distribution specification and their JSON form.
Knows nothing of how an answer reaches the client.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


class RegistryError(Exception):
    """
    A refusal, complete enough to be written to the client as it stands.

    Raised anywhere, written in one place.  ``message`` and ``detail`` are
    shown to the client: nothing secret may be put there.

    ``cause`` says in a word of a closed list which rule of the mirror's own
    refuses; it is empty where none does, and is counted, not shown.
    """

    cause = ""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: object = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers

    def because(self, cause: str) -> RegistryError:
        """The same error, refused by the rule that ``cause`` names."""
        self.cause = cause
        return self

    def body(self) -> bytes:
        """
        The JSON of the distribution specification's "Error Codes", ASCII only.

        ``detail`` is left out when there is none; what JSON cannot express in
        it is written as its ``str``.
        """
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return json.dumps({"errors": [error]}, default=str).encode("ascii")


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """
    A code of the specification with its usual status and wording.
    """

    code: str
    status: int
    message: str

    def error(
        self,
        message: str | None = None,
        *,
        status: int | None = None,
        detail: object = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> RegistryError:
        """
        An error of this code, ready to be raised.
        """
        return RegistryError(
            self.status if status is None else status,
            self.code,
            self.message if message is None else message,
            detail,
            headers,
        )


BLOB_UNKNOWN = ErrorCode("BLOB_UNKNOWN", 404, "blob unknown to registry")
DENIED = ErrorCode("DENIED", 403, "requested access to the resource is denied")
DIGEST_INVALID = ErrorCode("DIGEST_INVALID", 400, "invalid digest")
MANIFEST_INVALID = ErrorCode("MANIFEST_INVALID", 400, "manifest invalid")
MANIFEST_UNKNOWN = ErrorCode("MANIFEST_UNKNOWN", 404, "manifest unknown")
NAME_INVALID = ErrorCode("NAME_INVALID", 400, "invalid repository name")
NAME_UNKNOWN = ErrorCode("NAME_UNKNOWN", 404, "repository name not known to registry")
NOT_FOUND = ErrorCode("NOT_FOUND", 404, "no such endpoint")
PAGINATION_NUMBER_INVALID = ErrorCode("PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")
RANGE_INVALID = ErrorCode("RANGE_INVALID", 416, "the requested range cannot be satisfied")
REQUEST_INVALID = ErrorCode("UNSUPPORTED", 400, "the request is malformed")
SIZE_INVALID = ErrorCode("SIZE_INVALID", 413, "the content is too large")
TAG_INVALID = ErrorCode("TAG_INVALID", 400, "invalid tag")
TOOMANYREQUESTS = ErrorCode("TOOMANYREQUESTS", 429, "too many requests")
UNAUTHORIZED = ErrorCode("UNAUTHORIZED", 401, "authentication required")
UNAVAILABLE = ErrorCode("UNAVAILABLE", 503, "the service is unavailable")
UNKNOWN = ErrorCode("UNKNOWN", 500, "unknown error")
UNSUPPORTED = ErrorCode("UNSUPPORTED", 405, "the operation is unsupported")
