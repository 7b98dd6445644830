"""
Tokens of one upstream: relayed for clients, kept only where they are nobody's.

A client's credentials go to the pinned realm and nowhere else, and what they
buy is never kept.  Anonymous tokens and those of docxy's own account are
shared: per scope set one request at a time, handed out in the first half of
their life.
"""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Cooperator
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from docxy.interfaces import (
    Authority,
    Clocks,
    HeaderLines,
    ITokenSource,
    TokenReply,
    TokenRequest,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
)
from docxy.oci.headers import response_to_client
from docxy.oci.scopes import PLACEHOLDER, Scope, Token, TokenInvalid, format_token, parse_token
from docxy.settings.files import MAX_PASSWORD
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.agent import IdentityAgent
from docxy.upstream.attempt import cancellable, named
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.body import ResponseBody
from docxy.upstream.fetch import within
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.shared import SharedByKey

MAX_ANSWER = 1 << 20  # bytes, as much as the most patient client reads
MAX_HELD = 1024  # scope sets
MAX_HELD_TOKEN = 16384  # characters; a larger one is passed on and not kept
MIN_REMAINING = 60  # seconds: clients take less for 60 and would use a dead token
PLACEHOLDER_LIFE = 3600  # seconds

# Parameters that change nothing in an anonymous token, so that it can be shared.
_HARMLESS = frozenset({"client_id", "account"})


@dataclass(frozen=True, slots=True)
class _Held:
    """A token and the time (of the clock) at which its life began."""

    token: Token
    born_at: float

    def remaining(self, now: float) -> int:
        return int(self.born_at + self.token.expires_in - now)

    def is_young(self, now: float) -> bool:
        in_first_half = now - self.born_at < self.token.expires_in / 2
        return in_first_half and self.remaining(now) >= MIN_REMAINING


@implementer(ITokenSource)
class TokenSource:
    """Tokens of the upstream that ``settings`` describe."""

    def __init__(
        self,
        settings: UpstreamSettings,
        limits: LimitSettings,
        agent: IAgent,
        authorities: AuthoritySource,
        ledger: TokenLedger,
        clocks: Clocks,
    ) -> None:
        self.settings = settings
        self._limits = limits
        self._agent = agent
        self._authorities = authorities
        self._ledger = ledger
        self._clock = clocks.steady
        self._wall = clocks.wall
        self._held: OrderedDict[object, _Held] = OrderedDict()
        self._asking: SharedByKey[TokenReply] = SharedByKey()

    def authority(self) -> Deferred[Authority]:
        return self._authorities.get()

    def relay(self, request: TokenRequest) -> Deferred[TokenReply]:
        return within(self._limits.answer, self._clock, self._relay(request))

    def bearer(self, scopes: tuple[Scope, ...]) -> Deferred[bytes | None]:
        return within(self._limits.answer, self._clock, self._own(scopes))

    def forget(self, authorization: bytes) -> None:
        token = _bearer_value(authorization)
        for key in [key for key, held in self._held.items() if held.token.value == token]:
            del self._held[key]

    def doubt(self) -> None:
        self._authorities.doubt()

    def credential(self, authorization: bytes | None) -> str | None:
        if authorization is None:
            # Where tokens are needed, a request without one spends nobody's pulls: it gets a challenge.
            is_open = self.settings.auth == "own" or self._authorities.known.kind == "none"
            return "anonymous" if is_open else None
        if self.settings.auth == "own":
            return "anonymous" if self.settings.account is None else "account"
        token = _bearer_value(authorization)
        return None if token is None else self._ledger.credential_of(token, self.settings.name)

    def foreign(self, authorization: bytes) -> bool:
        token = _bearer_value(authorization)
        return token is not None and self._ledger.is_foreign(token, self.settings.name)

    async def _relay(self, request: TokenRequest) -> TokenReply:
        authority = await self.authority()
        if self.settings.auth == "own" or authority.kind == "none":
            return self._answer(PLACEHOLDER, PLACEHOLDER_LIFE)
        if authority.kind == "basic":
            return _no_token_server()
        if request.form:
            return await self._post(authority, request)
        if request.authorization is None and _HARMLESS.issuperset(name for name, _ in request.params):
            return await self._shared(authority, request.scopes, None)
        return await self._get(authority, request)

    async def _own(self, scopes: tuple[Scope, ...]) -> bytes | None:
        authority = await self.authority()
        if authority.kind == "none":
            return None
        basic = self._account()
        if authority.kind == "basic":
            return basic
        reply = await self._shared(authority, scopes, basic)
        if reply.status != 200:
            refused = reply.status in (400, 401, 403, 404)
            error = UpstreamRefused if refused else UpstreamBroken
            raise error(f"the token server answered with status {reply.status}")
        token = _token_in(reply)
        if token is None:
            raise UpstreamBroken("the token server's answer holds no usable token")
        return b"Bearer " + token.value.encode("ascii")

    def _account(self) -> bytes | None:
        account = self.settings.account
        if account is None:
            return None
        try:
            with Path(account.password_file).open("rb") as file:
                password = file.read(MAX_PASSWORD).decode("utf-8").strip("\r\n")
        except (OSError, UnicodeError) as error:
            raise UpstreamBroken(f"password_file cannot be read: {type(error).__name__}") from None
        return b"Basic " + b64encode(f"{account.username}:{password}".encode())

    async def _shared(
        self, authority: Authority, scopes: tuple[Scope, ...], basic: bytes | None
    ) -> TokenReply:
        """A token of ours, from what is held or by asking once for all who wait."""
        key = (authority.realm, authority.service, frozenset(str(scope) for scope in scopes), basic is None)
        held = self._held.get(key)
        now = self._clock.seconds()
        if held is not None and held.is_young(now):
            self._enter(held.token.value, basic)  # others' tokens may have pushed it out since
            return self._answer(held.token.value, held.remaining(now))
        request = TokenRequest(scopes, authorization=basic)
        # With a limit of its own: as long as others keep joining, nobody's leaving would end it.
        return await self._asking.join(
            key, lambda: within(self._limits.answer, self._clock, self._ask(authority, request, key))
        )

    def _enter(self, token: str, basic: bytes | None) -> None:
        """Remember that ``token`` is ours, and by which credential."""
        self._ledger.enter(token, self.settings.name, "anonymous" if basic is None else "account")

    async def _ask(self, authority: Authority, request: TokenRequest, key: object) -> TokenReply:
        reply = await self._get(authority, request)
        token = _token_in(reply)
        if token is None:
            return reply
        self._enter(token.value, request.authorization)
        now = self._clock.seconds()
        held = _Held(token, now - self._age(token))
        self._hold(key, held)
        return self._answer(token.value, max(held.remaining(now), MIN_REMAINING))

    def _age(self, token: Token) -> float:
        """How long ago a cache upstream was given this token; 0.0 where the clocks do not agree."""
        age = 0.0 if token.issued_at is None else self._wall() - token.issued_at
        return age if 0 < age < token.expires_in else 0.0

    def _hold(self, key: object, held: _Held) -> None:
        if len(held.token.value) > MAX_HELD_TOKEN:
            return
        self._held[key] = held
        self._held.move_to_end(key)
        if len(self._held) > MAX_HELD:
            self._held.popitem(last=False)

    def _answer(self, token: str, expires_in: int) -> TokenReply:
        issued_at = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return TokenReply(200, _json_headers(()), format_token(token, expires_in, issued_at))

    async def _get(self, authority: Authority, request: TokenRequest) -> TokenReply:
        params = [
            *request.params,
            *_service(authority, request),
            *(("scope", str(s)) for s in request.scopes),
        ]
        headers = Headers({b"User-Agent": [b"docxy"], b"Accept": [b"application/json"]})
        if request.authorization is not None:
            headers.addRawHeader(b"Authorization", request.authorization)
        return await self._send("GET", _extended(authority, params), headers, None)

    async def _post(self, authority: Authority, request: TokenRequest) -> TokenReply:
        scope = " ".join(str(scope) for scope in request.scopes)
        params = [*request.params, *_service(authority, request), *([("scope", scope)] if scope else [])]
        headers = Headers({b"User-Agent": [b"docxy"], b"Accept": [b"application/json"]})
        headers.addRawHeader(b"Content-Type", b"application/x-www-form-urlencoded")
        if request.authorization is not None:
            headers.addRawHeader(b"Authorization", request.authorization)
        return await self._send("POST", _extended(authority, []), headers, urlencode(params).encode("ascii"))

    async def _send(self, method: str, url: str, headers: Headers, body: bytes | None) -> TokenReply:
        # A client of its own for each request: treq keeps cookies in its client.
        client = HTTPClient(IdentityAgent(self._agent, self._clock))
        form = None if body is None else self._producer(body)
        try:
            sent = client.request(
                method, url, headers=headers, data=form, allow_redirects=False, unbuffered=True
            )
            response = await cancellable(sent, self._clock)  # type: ignore[arg-type]  # treq wraps it
            content = await ResponseBody(response, self._clock).read(MAX_ANSWER)
        except (UpstreamError, CancelledError):
            raise
        except Exception as error:
            raise named(error, self._limits.answer) from None
        if 300 <= response.code < 400:
            raise UpstreamBroken("the token server redirects, which is not followed")
        lines = [(k, v) for k, values in response.headers.getAllRawHeaders() for v in values]
        reply = TokenReply(int(response.code), _json_headers(lines), content)
        token = _token_in(reply)
        if token is not None:
            self._ledger.enter(token.value, self.settings.name, None)
        return reply

    def _producer(self, body: bytes) -> FileBodyProducer:
        # By our clock: treq's own producer works by the global reactor.
        return FileBodyProducer(BytesIO(body), Cooperator(scheduler=partial(self._clock.callLater, 0)))


def _bearer_value(authorization: bytes) -> str | None:
    scheme, _, value = authorization.partition(b" ")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def _service(authority: Authority, request: TokenRequest) -> Sequence[tuple[str, str]]:
    """The service that upstream told us; the client only echoes what some challenge said."""
    service = authority.service or request.service
    return [("service", service)] if service else []


def _extended(authority: Authority, params: Sequence[tuple[str, str]]) -> str:
    """The realm with ``params`` added to the query that it may have."""
    realm = authority.realm
    if realm is None:
        raise UpstreamBroken(f"its token server is not known: {authority.problem}")
    if not params:
        return realm
    return realm + ("&" if "?" in realm else "?") + urlencode(params)


def _token_in(reply: TokenReply) -> Token | None:
    if reply.status != 200:
        return None
    try:
        return parse_token(reply.body)
    except TokenInvalid:
        return None


def _json_headers(lines: HeaderLines) -> HeaderLines:
    """What of a token answer's headers goes to the client; never to a cache."""
    kept = [
        (name, value)
        for name, value in response_to_client(lines, kind="error")
        if name.lower() in (b"content-type", b"retry-after", b"warning")
    ]
    if not any(name.lower() == b"content-type" for name, _ in kept):
        kept.append((b"Content-Type", b"application/json"))
    return (*kept, (b"Cache-Control", b"no-store"))


def _no_token_server() -> TokenReply:
    body = (
        b'{"errors":[{"code":"UNSUPPORTED","message":"this registry takes Basic credentials and no tokens"}]}'
    )
    return TokenReply(404, _json_headers(()), body)
