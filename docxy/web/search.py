"""What is left of the v1 API: the search of upstreams that have one, and the ping before it."""

from __future__ import annotations

from twisted.web.resource import Resource

from docxy.answers import own_answer
from docxy.mirror import Mirror
from docxy.oci.errors import NOT_FOUND
from docxy.oci.routes import Kind
from docxy.policy.addresses import bucket
from docxy.policy.addressing import Addressing
from docxy.policy.limits import RelayCounter
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.request import MirrorRequest

_PING = own_answer(200, b"{}", ((b"Content-Type", b"application/json"),))


class SearchResource(Resource):
    """Serves ``/v1/_ping`` and ``/v1/search``, as ``docker search MIRROR/TERM`` asks for them."""

    isLeaf = True

    def __init__(self, front: Front, addressing: Addressing, mirror: Mirror, asks: RelayCounter) -> None:
        super().__init__()
        self._front = front
        self._addressing = addressing
        self._mirror = mirror
        self._asks = asks

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._serve(request, exchange))

    async def _serve(self, request: MirrorRequest, exchange: Exchange) -> None:
        target = self._addressing.target(request.route, self._front.caller(request).host)
        exchange.concerns(request.route, target)
        if target.upstream.search_url is None:
            raise NOT_FOUND.error(f"{target.upstream.name} has no search")
        if request.route.kind is Kind.V1_PING:
            exchange.answer(_PING)
            return
        with self._asks.held(bucket(exchange.client)):
            answer = await self._mirror.search(request.route, target)
        exchange.answer(answer)
