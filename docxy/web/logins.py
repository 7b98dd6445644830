"""
Logins: which of them were refused, and when that is too often.

They come to the token endpoint, and with pings and pulls to an upstream that
takes user and password itself.

Owns what counts as one login.  Keeps no password, only keyed digests.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from docxy.answers import Answer, Caller
from docxy.auth import Auth
from docxy.policy.addressing import Target
from docxy.policy.limits import FailedLogins

Serve = Callable[[Target, Caller], Coroutine[Deferred[Any], Any, Answer]]

_REFUSED = frozenset({401})
_REFUSED_FORM = frozenset({400, 401, 403})  # RFC 6749 section 5.2: a wrong password is an invalid grant, 400
_IN_FORM = ("username", "password", "refresh_token")


class Logins:
    """The logins of all clients."""

    def __init__(self, clock: IReactorTime) -> None:
        self._failed = FailedLogins()
        self._clock = clock
        self._key = token_bytes(32)

    def refused(self) -> int:
        """How many were refused in the last minute, as far as they are remembered."""
        return self._failed.count(self._clock.seconds())

    def begin(
        self, client: str, authorization: bytes | None, form: Sequence[tuple[str, str]]
    ) -> bytes | None:
        """
        What to call this login in `end`; None: it is none, for it bears no credentials.

        ``form`` are a form's parameters.  Raises `RegistryError`: 429 for a
        client (its `bucket`) of whom too many were refused.
        """
        credentials = _basic(authorization) or _in_form(form)
        if credentials is None:
            return None
        self._failed.check(client, self._clock.seconds())
        return blake2b(credentials, digest_size=16, key=self._key).digest()

    def end(self, client: str, login: bytes | None, status: int, form: bool = False) -> None:
        """Take note of how upstream answered; ``form``: to a form, which has more ways to refuse."""
        if login is not None and status in (_REFUSED_FORM if form else _REFUSED):
            self._failed.failed(client, login, self._clock.seconds())
        elif login is not None and 200 <= status < 300:
            self._failed.succeeded(client, login)


class BasicLogins:
    """Logins that go with a ping or a pull, to upstreams without a token service."""

    def __init__(self, auth: Auth, logins: Logins) -> None:
        self._auth = auth
        self._logins = logins

    async def watch(self, client: str, target: Target, caller: Caller, serve: Serve) -> Answer:
        """What ``serve`` answers, which counts where the caller bears a login; raises as `Logins.begin`."""
        login = None
        if await self._auth.bears_login(target, caller):
            login = self._logins.begin(client, caller.authorization, ())
        answer = await serve(target, caller)
        self._logins.end(client, login, answer.status)
        return answer


def _basic(authorization: bytes | None) -> bytes | None:
    """User and password of a Basic header (RFC 7617); what cannot be decoded stands for itself."""
    scheme, _, value = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(value.strip(), validate=True)
    except binascii.Error:
        return value


def _in_form(form: Sequence[tuple[str, str]]) -> bytes | None:
    """The same of a form, spelt alike: who is refused by form tries the header next."""
    found = [value for name in _IN_FORM for key, value in form if key == name]
    return ":".join(found).encode("utf-8", "replace") if found else None
