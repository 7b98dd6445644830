"""
The token dance: pings, challenges, tokens, and which credential goes upstream.

Owns what a client is asked for and what becomes of what it brings.  A
client's credential goes to the upstream that the host name or the URL's path
names, and only where that upstream takes its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from docxy.answers import Answer, Caller, in_time, own_answer, refusal, unavailable, waiting
from docxy.interfaces import (
    Authority,
    Clocks,
    ITokenSource,
    IUpstream,
    Reply,
    TokenRequest,
    UpstreamBroken,
    UpstreamError,
)
from docxy.oci.challenges import Challenge, basic, bearer, choose, parse
from docxy.oci.errors import DENIED, UNAUTHORIZED
from docxy.oci.headers import INERT, request_to_upstream
from docxy.oci.routes import Kind, Route
from docxy.oci.scopes import PLACEHOLDER, Scope, parse_scopes
from docxy.policy.addressing import Addressing, Target, TokenTarget
from docxy.policy.secret import SecretPath
from docxy.settings.values import Settings

Params = Sequence[tuple[str, str]]

_PING_HEADERS = (
    (b"Content-Type", b"application/json"),
    (b"Docker-Distribution-Api-Version", b"registry/2.0"),
    (b"Cache-Control", b"private, no-transform"),
)


class Auth:
    """Challenges and tokens for all upstreams of ``settings``."""

    def __init__(
        self,
        settings: Settings,
        addressing: Addressing,
        upstreams: Mapping[str, IUpstream],
        tokens: Mapping[str, ITokenSource],
        clocks: Clocks,
    ) -> None:
        self._has_secret = SecretPath.of(settings).is_set
        self._limits = settings.limits
        self._clocks = clocks
        self._addressing = addressing
        self._upstreams = upstreams
        self._tokens = tokens

    async def ping(self, target: Target, caller: Caller) -> Answer:
        """
        Answer ``GET /v2/`` from what is known; upstream is asked only about credentials.

        200 where clients need no token, else 401 with our challenge.  Raises `RegistryError`.
        """
        try:
            return await in_time(self._limits.answer, self._clocks.steady, self._ping(target, caller))
        except UpstreamError as error:
            raise unavailable(target.upstream.name, error) from None

    async def _ping(self, target: Target, caller: Caller) -> Answer:
        if target.upstream.auth == "own":
            return own_answer(200, b"{}", _PING_HEADERS)
        authority = await self._tokens[target.upstream.name].authority()
        if authority.kind == "none":
            return own_answer(200, b"{}", _PING_HEADERS)
        shown = target.secret or not self._has_secret
        authorization = self._passed_through(target, caller, authority) if shown else None
        if authorization is not None:
            return await self._check(target, caller, authorization)
        if self._is_placeholder(caller.authorization):
            return own_answer(200, b"{}", _PING_HEADERS)
        return self._challenge(target, caller, authority, None)

    async def _check(self, target: Target, caller: Caller, authorization: bytes) -> Answer:
        """What upstream says to these credentials, as ``docker login`` wants to know."""
        headers = request_to_upstream(caller.headers, authorization=authorization)
        reply: Reply = await self._upstreams[target.upstream.name].ping(headers)
        if reply.status == 401 and not reply.redirected:
            return await self.challenged(target, caller, reply, Kind.PING)
        if reply.status >= 400 and not reply.redirected:
            return await refusal(reply, Kind.PING, self._clocks)
        reply.body.drop()
        if reply.redirected:
            # Another origin has not seen the credentials and cannot say that they are good.
            raise UpstreamBroken("its ping leads to another origin")
        return own_answer(200, b"{}", _PING_HEADERS)

    async def bears_login(self, target: Target, caller: Caller) -> bool:
        """Whether the caller's user and password go to this upstream with what it asks for."""
        value = caller.authorization
        if value is None or _scheme(value) != b"basic" or target.upstream.auth == "own":
            return False
        if self._has_secret and not target.secret:
            return False
        authority = await self._tokens[target.upstream.name].authority()
        return self._passed_through(target, caller, authority) is not None

    def token_target(self, route: Route, caller: Caller, params: Params) -> TokenTarget:
        """Whom a token request with ``params`` means; raises `RegistryError`."""
        scopes = parse_scopes(value for name, value in params if name == "scope")
        others = (f"{name}={value}" for name, value in params if name != "scope")
        return self._addressing.token_target(route, caller.host, scopes, others)

    async def token(self, found: TokenTarget, caller: Caller, params: Params, form: bool) -> Answer:
        """
        Answer a token request with ``params`` from its query, or its form where ``form``.

        Raises `RegistryError`.
        """
        request = TokenRequest(
            found.scopes,
            service=next((value for name, value in params if name == "service" and value), None),
        )
        if found.credentials_allowed:
            others = tuple(param for param in params if param[0] not in ("scope", "service"))
            request = TokenRequest(found.scopes, others, request.service, _basic(caller), form)
        try:
            reply = await self._tokens[found.upstream.name].relay(request)
        except UpstreamError as error:
            raise unavailable(f"the token server of {found.upstream.name}", error) from None
        headers = (*waiting(reply.status, reply.headers, self._clocks.wall()), *INERT)
        return Answer(reply.status, headers, len(reply.body), reply.body)

    async def credential(self, target: Target, caller: Caller, scopes: tuple[Scope, ...]) -> bytes | None:
        """The Authorization value that goes upstream with a pull; fails with `UpstreamError`."""
        tokens = self._tokens[target.upstream.name]
        if target.upstream.auth == "own":
            return await tokens.bearer(scopes)
        if caller.authorization is None or self._is_placeholder(caller.authorization):
            return None
        return self._passed_through(target, caller, await tokens.authority())

    def _passed_through(self, target: Target, caller: Caller, authority: Authority) -> bytes | None:
        """The client's own credential, where this upstream may see it."""
        value = caller.authorization
        if value is None or self._is_placeholder(value):
            return None
        if _scheme(value) == b"basic":
            return value if authority.kind == "basic" and _own_host(target) else None
        if _scheme(value) != b"bearer" or authority.kind in ("none", "basic"):
            return None
        return None if self._tokens[target.upstream.name].foreign(value) else value

    @staticmethod
    def _is_placeholder(value: bytes | None) -> bool:
        return value is not None and value[7:].strip() == PLACEHOLDER.encode() and _scheme(value) == b"bearer"

    async def challenged(self, target: Target, caller: Caller, reply: Reply, kind: Kind) -> Answer:
        """An upstream's 401, with its challenge led through us."""
        answer = await refusal(reply, kind, self._clocks)
        tokens = self._tokens[target.upstream.name]
        authority = await tokens.authority()
        theirs = choose(parse(reply.lines(b"www-authenticate")))
        if authority.kind == "none":
            tokens.doubt()
        error = theirs.get("error") if theirs else None
        if caller.authorization is not None and error != "insufficient_scope":
            # It may be one of ours: the client would be given the same again.
            tokens.forget(caller.authorization)
        ours = self._challenge(target, caller, authority, theirs)
        challenge = next(value for name, value in ours.headers if name == b"WWW-Authenticate")
        return Answer(401, (*answer.headers, (b"WWW-Authenticate", challenge)), answer.length, answer.content)

    def _challenge(
        self, target: Target, caller: Caller, authority: Authority, theirs: Challenge | None
    ) -> Answer:
        if authority.kind == "bearer" and theirs is not None and theirs.scheme == "basic":
            theirs = None  # Basic credentials would not be passed on
        if (theirs.scheme if theirs else authority.kind) == "basic":
            line = self._basic_line(target, theirs.get("realm") if theirs else authority.realm)
        else:
            line = self._bearer_line(target, caller, authority, theirs)
        headers = (*_PING_HEADERS, (b"WWW-Authenticate", line.encode("ascii")))
        return own_answer(401, UNAUTHORIZED.error().body(), headers)

    @staticmethod
    def _basic_line(target: Target, realm: str | None) -> str:
        name = target.upstream.name
        if not _own_host(target):
            raise DENIED.error(f'{name} takes Basic credentials: give it a host of its own, hosts = ["..."]')
        return basic(realm or name)

    def _bearer_line(
        self, target: Target, caller: Caller, authority: Authority, theirs: Challenge | None
    ) -> str:
        scope = theirs.get("scope") if theirs else None
        if not scope and target.repository is not None:
            scope = f"repository:{target.repository}:pull"
        error = theirs.get("error") if theirs else None
        if not error and caller.authorization is not None:
            # Without it containerd would offer the same token again, and again.
            error = "invalid_token"
        return bearer(
            caller.base_url + self._addressing.challenge_realm_path(target),
            service=(theirs.get("service") if theirs else None) or authority.service,
            scope=self._addressing.client_scope(target, scope) if scope else None,
            error=error,
        )


def _own_host(target: Target) -> bool:
    """Whether the host name alone says which upstream is meant, so that Basic credentials are for it."""
    return target.named_by in ("host", "default")


def _scheme(value: bytes) -> bytes:
    return value.partition(b" ")[0].lower()


def _basic(caller: Caller) -> bytes | None:
    value = caller.authorization
    return value if value is not None and _scheme(value) == b"basic" else None
