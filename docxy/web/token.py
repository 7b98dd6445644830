"""The token endpoint: GET and POST, as the token and OAuth2 documents of distribution have them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from twisted.web.resource import Resource

from docxy.auth import Auth
from docxy.oci.errors import REQUEST_INVALID, RegistryError
from docxy.policy.addresses import bucket
from docxy.policy.limits import RelayCounter
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.logins import Logins
from docxy.web.request import MirrorRequest

MAX_PARAMS = 128

_FORM = "application/x-www-form-urlencoded"


class TokenResource(Resource):
    """Serves ``/auth/token`` and ``/auth/<upstream>/token``."""

    isLeaf = True

    def __init__(self, front: Front, auth: Auth, asks: RelayCounter, logins: Logins) -> None:
        super().__init__()
        self._front = front
        self._auth = auth
        self._asks = asks
        self._logins = logins

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._token(request, exchange))

    async def _token(self, request: MirrorRequest, exchange: Exchange) -> None:
        form = request.method == b"POST"
        caller = self._front.caller(request)
        try:
            params = _params(request)
        except RegistryError:
            # Whether there is a token service is not told to who does not show the secret.
            self._auth.token_target(request.route, caller, ())
            raise
        found = self._auth.token_target(request.route, caller, params)
        exchange.kind = request.route.kind.value
        exchange.upstream = found.upstream.name
        exchange.repository = next((scope.name for scope in found.scopes if scope.is_repository), "")
        client = bucket(exchange.client)
        with self._asks.held(client):
            login = self._logins.begin(client, caller.authorization, params if form else ())
            answer = await self._auth.token(found, caller, params, form)
            self._logins.end(client, login, answer.status, form)
        exchange.answer(answer)


def _params(request: MirrorRequest) -> list[tuple[str, str]]:
    """What is asked for: the query, and behind it a POST's form."""
    params = _parse(request.query)
    return params + _parse(_form(request)) if request.method == b"POST" else params


def _form(request: MirrorRequest) -> bytes:
    content_type = request.single(b"Content-Type") or ""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise REQUEST_INVALID.error(f"a token is asked for by a form: Content-Type: {_FORM}", status=415)
    return bytes(request.content.read())


def _parse(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMS)
    except ValueError:
        raise REQUEST_INVALID.error("the parameters are malformed or too many") from None
