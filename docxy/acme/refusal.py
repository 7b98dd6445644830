"""
Why there is no certificate, in words that an operator can act upon.

Owns the reading of the library's many errors.  What the authority says is
shown bounded, and on one line.
"""

from __future__ import annotations

from collections.abc import Iterator

import requests
from acme import errors, messages
from josepy.errors import Error as JoseError

_MAX_WORDS = 600  # characters of what an authority says
_MAX_NAMES = 5  # whose failures are told each
_PREFIX = "urn:ietf:params:acme:error:"


EXPECTED = (
    errors.Error,
    requests.exceptions.RequestException,
    JoseError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""
What the library raises when an authority errs, or is not one.

All from the third on are its ways of saying that an answer has not the form it should have.
"""


def problem_of(error: BaseException) -> str:
    """What to tell of an error that is one of `EXPECTED`."""
    if isinstance(error, errors.ValidationError):
        found = [one for authorization in error.failed_authzrs for one in _failed(authorization)]
        more = [f"and {len(found) - _MAX_NAMES} more"] if len(found) > _MAX_NAMES else []
        return "; ".join([*found[:_MAX_NAMES], *more]) or "an authorization failed, without a reason"
    if isinstance(error, errors.IssuanceError):
        return _told(error.error)
    if isinstance(error, messages.Error):
        return _told(error)
    if isinstance(error, errors.TimeoutError):
        return "the authority took too long to decide"
    if isinstance(error, requests.exceptions.RequestException):
        return f"the authority cannot be met ({words(_innermost(error))})"
    return f"the authority's answer makes no sense ({type(error).__name__}: {words(error)})"


def kind_of(challenge: messages.ChallengeBody) -> str:
    """Its type, also of one that the library does not know."""
    return str(challenge.chall.to_partial_json().get("type"))


def _failed(authorization: messages.AuthorizationResource) -> Iterator[str]:
    for challenge in authorization.body.challenges:
        if challenge.error is not None:
            name = words(authorization.body.identifier.value)
            yield f"{name}: by {words(kind_of(challenge))}: {_told(challenge.error)}"


def _told(error: messages.Error) -> str:
    kind = str(error.typ).removeprefix(_PREFIX)
    told = words(f"{kind}: {error.detail or error.title or 'no reason given'}")
    below = [
        f"{one.identifier.value}: {_told(one)}" if one.identifier else _told(one)
        for one in error.subproblems or ()
    ]
    return words(f"{told} ({'; '.join(below)})") if below else told


def _innermost(error: BaseException) -> object:
    """The reason of a reason: what urllib3 wraps says more than its wrapping."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return reason or error


def words(text: object) -> str:
    """Anybody's text on one line, not too long."""
    line = " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())
    return line if len(line) <= _MAX_WORDS else line[: _MAX_WORDS - 3] + "..."
