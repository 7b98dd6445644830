"""
What a token allows, as asked for and as granted.

Owns the scope grammar (distribution's "Token Scope Documentation") and the
token server's answer.  Knows nothing of which upstream a scope belongs to,
and has no clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from docxy.oci.errors import REQUEST_INVALID

MAX_SCOPES = 64
MAX_SCOPE = 512

# The token specification: 60 where nothing is said, and never less.
MIN_EXPIRES_IN = 60
MAX_EXPIRES_IN = 10**7

# What clients get for an upstream that needs no token of theirs; it never leaves us.
PLACEHOLDER = "docxy-anonymous"

_SAFE = re.compile(r"[!#-\[\]-~]+")
_VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """
    One resource and the actions asked for on it.

    What is not ``type:name:actions`` (ECR's literal `aws`) is all ``type``,
    with an empty name and no actions, and is handed on untouched.
    """

    type: str
    name: str
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Scope:
        """
        The scope that ``text`` spells; its ``str`` is ``text`` again.

        The first and the last colon separate: a name may hold a host's port.
        """
        type_, first, rest = text.partition(":")
        name, last, actions = rest.rpartition(":")
        if not (first and last):
            return cls(text, "", ())
        return cls(type_, name, tuple(actions.split(",")))

    @property
    def is_repository(self) -> bool:
        """
        Whether this is about a repository, of whatever class.
        """
        return bool(self.actions) and self.type.partition("(")[0] == "repository"

    def renamed(self, name: str) -> Scope:
        """
        The same actions on another name.
        """
        return replace(self, name=name)

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}" if self.actions else self.type


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """
    All scopes of all ``scope`` parameters, in their order.

    One value may hold several, separated by spaces.  Raises a 400 error for
    more than 64 scopes, for one over 512 characters, and for characters that
    could not stand in a challenge.
    """
    found: list[Scope] = []
    for value in values:
        for text in filter(None, value.split(" ")):
            if len(found) == MAX_SCOPES or len(text) > MAX_SCOPE or not _SAFE.fullmatch(text):
                raise REQUEST_INVALID.error("a scope is malformed or too long, or there are too many")
            found.append(Scope.parse(text))
    return tuple(found)


def merge(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """
    The same access with one scope a resource, so that equal sets compare equal but for order.

    Actions are sorted; resources stand in the order of their first appearance.
    """
    merged: dict[tuple[str, str, bool], set[str]] = {}
    for scope in scopes:
        merged.setdefault((scope.type, scope.name, bool(scope.actions)), set()).update(scope.actions)
    return tuple(Scope(type_, name, _sorted(actions)) for (type_, name, _), actions in merged.items())


def _sorted(actions: set[str]) -> tuple[str, ...]:
    # "" is what "repository:a:" asks for: nothing, and next to a real action it says nothing.
    return tuple(sorted(actions - {""} or actions))


def add_library(name: str) -> str:
    """
    Docker Hub's full name of a repository: official images are under `library/`.
    """
    return name if "/" in name else f"library/{name}"


class TokenInvalid(ValueError):
    """
    A token server's answer cannot be understood; never quotes it.
    """


@dataclass(frozen=True, slots=True)
class Token:
    """
    A bearer token; ``expires_in`` in seconds, ``issued_at`` in seconds since the epoch.
    """

    value: str = field(repr=False)
    expires_in: int
    issued_at: float | None


def parse_token(body: bytes) -> Token:
    """
    The token in a token server's JSON answer, whose size the caller has bounded.

    Takes ``token`` or ``access_token``.  A lifetime below 60 seconds becomes
    60, an ``issued_at`` that is no RFC 3339 time is as good as none.
    Raises `TokenInvalid`.
    """
    answer = _object(body)
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise TokenInvalid("the answer holds no usable token")
    return Token(value, _expires_in(answer.get("expires_in")), _issued_at(answer.get("issued_at")))


def format_token(value: str, expires_in: int, issued_at_rfc3339: str) -> bytes:
    """
    A token server's answer with the token under both names.

    containerd reads only ``access_token`` after a POST, others only ``token``.
    """
    answer = {
        "token": value,
        "access_token": value,
        "expires_in": expires_in,
        "issued_at": issued_at_rfc3339,
    }
    return json.dumps(answer).encode("ascii")


def _object(body: bytes) -> dict[str, object]:
    try:
        answer = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        answer = None
    # Raised out here: the error of the json module holds the whole body.
    if not isinstance(answer, dict):
        raise TokenInvalid("the answer is no JSON object")
    return answer


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _expires_in(value: object) -> int:
    if value is None:
        return MIN_EXPIRES_IN
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid("expires_in is no number")
    return int(min(max(value, MIN_EXPIRES_IN), MAX_EXPIRES_IN))


def _issued_at(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo else None
