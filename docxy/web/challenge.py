"""The registry's root: pings, answered with a challenge or with 200."""

from __future__ import annotations

from contextlib import nullcontext

from twisted.web.resource import Resource

from docxy.auth import Auth
from docxy.policy.addresses import bucket
from docxy.policy.addressing import Addressing
from docxy.policy.limits import RelayCounter
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.logins import BasicLogins
from docxy.web.request import MirrorRequest


class ChallengeResource(Resource):
    """Serves ``/v2/``."""

    isLeaf = True

    def __init__(
        self, front: Front, addressing: Addressing, auth: Auth, asks: RelayCounter, logins: BasicLogins
    ) -> None:
        super().__init__()
        self._front = front
        self._addressing = addressing
        self._auth = auth
        self._asks = asks
        self._logins = logins

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._ping(request, exchange))

    async def _ping(self, request: MirrorRequest, exchange: Exchange) -> None:
        caller = self._front.caller(request)
        target = self._addressing.target(request.route, caller.host)
        exchange.concerns(request.route, target)
        # Without credentials the answer is known, or asked for once for all who wait.
        client = bucket(exchange.client)
        asks = nullcontext() if caller.authorization is None else self._asks.held(client)
        with asks:
            answer = await self._logins.watch(client, target, caller, self._auth.ping)
        exchange.answer(answer)
