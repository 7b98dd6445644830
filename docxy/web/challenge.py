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
from docxy.web.request import MirrorRequest


class ChallengeResource(Resource):
    """Serves ``/v2/``."""

    isLeaf = True

    def __init__(self, front: Front, addressing: Addressing, auth: Auth, asks: RelayCounter) -> None:
        super().__init__()
        self._front = front
        self._addressing = addressing
        self._auth = auth
        self._asks = asks

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._ping(request, exchange))

    async def _ping(self, request: MirrorRequest, exchange: Exchange) -> None:
        caller = self._front.caller(request)
        target = self._addressing.target(request.route, caller.host)
        exchange.concerns(request.route, target)
        # Without credentials the answer is known, or asked for once for all who wait.
        asks = nullcontext() if caller.authorization is None else self._asks.held(bucket(exchange.client))
        with asks:
            answer = await self._auth.ping(target, caller)
        exchange.answer(answer)
