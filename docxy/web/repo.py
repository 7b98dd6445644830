"""Everything below a repository: manifests, blobs, tags, referrers; and the catalog."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from docxy.answers import Answer, Stream
from docxy.mirror import Mirror
from docxy.oci.errors import UNAVAILABLE
from docxy.policy.addresses import bucket
from docxy.policy.addressing import Addressing
from docxy.policy.limits import RelayCounter
from docxy.settings.values import LimitSettings
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.relay import BodyRelay, RelayEnded
from docxy.web.request import MirrorRequest


class RepoResource(Resource):
    """Serves the pull API: parse, ask the mirror, relay."""

    isLeaf = True

    def __init__(
        self,
        front: Front,
        addressing: Addressing,
        mirror: Mirror,
        relays: RelayCounter,
        limits: LimitSettings,
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._front = front
        self._addressing = addressing
        self._mirror = mirror
        self._relays = relays
        self._limits = limits
        self._clock = clock

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._pull(request, exchange))

    async def _pull(self, request: MirrorRequest, exchange: Exchange) -> None:
        caller = self._front.caller(request)
        target = self._addressing.target(request.route, caller.host)
        exchange.concerns(request.route, target)
        client = bucket(exchange.client)
        self._relays.take(client)
        try:
            await self._send(exchange, await self._mirror.pull(request.route, target, caller))
        finally:
            self._relays.release(client)

    async def _send(self, exchange: Exchange, answer: Answer) -> None:
        if not isinstance(answer.content, Stream):
            # The slot is held until then: the whole manifest waits in memory for a slow client.
            await exchange.answer_and_wait(answer)
            return
        exchange.source = answer.source
        if exchange.gone:
            # Cancelled at the very moment when the answer came.
            answer.content.body.drop()
            raise UNAVAILABLE.error("client left")
        exchange.head(answer)
        exchange.request.write(b"")
        stall = self._limits.client_stall
        relay = BodyRelay(exchange.request, answer.content, answer.length, self._clock, stall)
        answer.content.body.deliver(relay)
        try:
            await relay.done
        except RelayEnded as error:
            exchange.error = str(error)
        finally:
            exchange.sent = relay.relayed
