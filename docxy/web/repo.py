"""Everything below a repository: manifests, blobs, tags, referrers; and the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from docxy.answers import Answer, Stream
from docxy.mirror import Mirror
from docxy.oci.errors import UNAVAILABLE
from docxy.policy.addresses import bucket
from docxy.policy.addressing import Addressing, Target
from docxy.policy.limits import RelayCounter
from docxy.policy.rates import Pace
from docxy.usage.usage import Usage
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.logins import BasicLogins
from docxy.web.paced import PacedRelay, pay
from docxy.web.relay import BodyRelay, Misfit, RelayEnded
from docxy.web.request import MirrorRequest


@dataclass(frozen=True, slots=True)
class Relaying:
    """What relays need: counts and rates, a clock, and ``client_stall`` in seconds."""

    counter: RelayCounter
    clock: IReactorTime
    client_stall: float
    usage: Usage


class RepoResource(Resource):
    """Serves the pull API: parse, ask the mirror, relay."""

    isLeaf = True

    def __init__(
        self, front: Front, addressing: Addressing, mirror: Mirror, relaying: Relaying, logins: BasicLogins
    ) -> None:
        super().__init__()
        self._front = front
        self._addressing = addressing
        self._mirror = mirror
        self._relaying = relaying
        self._logins = logins

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._pull(request, exchange))

    async def _pull(self, request: MirrorRequest, exchange: Exchange) -> None:
        caller = self._front.caller(request)
        target = self._addressing.target(request.route, caller.host)
        exchange.concerns(request.route, target)
        client = bucket(exchange.client)
        self._relaying.usage.check_budget(exchange.key)
        self._relaying.counter.take(client)
        exchange.is_transfer = True
        try:
            pull = partial(self._mirror.pull, request.route)
            answer = await self._logins.watch(client, target, caller, pull)
            if isinstance(answer.content, Stream):
                await self._relay(request, exchange, target, answer, answer.content)
            else:
                # The slot is held until then: the whole manifest waits in memory for a slow client.
                pace = self._pace(exchange)
                owing = None if pace is None else partial(pay, pace, self._relaying.clock)
                await exchange.answer_and_wait(answer, owing)
        finally:
            self._relaying.counter.release(client)

    def _pace(self, exchange: Exchange) -> Pace | None:
        return self._relaying.usage.pace(bucket(exchange.client), exchange.key)

    def _new_relay(self, request: MirrorRequest, exchange: Exchange, answer: Answer) -> BodyRelay:
        pace = self._pace(exchange)
        relaying = self._relaying
        if pace is None:
            return BodyRelay(request, answer.length, relaying.clock, relaying.client_stall)
        return PacedRelay(request, answer.length, relaying.clock, relaying.client_stall, pace)

    async def _relay(
        self, request: MirrorRequest, exchange: Exchange, target: Target, answer: Answer, stream: Stream
    ) -> None:
        exchange.source = answer.source
        if exchange.gone:
            # Cancelled at the very moment when the answer came.
            stream.reply.body.drop()
            raise UNAVAILABLE.error("client left")
        exchange.head(answer)
        request.write(b"")
        relay = self._new_relay(request, exchange, answer)
        if stream.verifier is not None:
            relay.verify(stream.verifier)
        exchange.follows(relay, stream.course)
        if isinstance(relay, PacedRelay):
            relay.take(stream.reply.body)
        else:
            stream.reply.body.deliver(relay)
        try:
            await relay.done
        except RelayEnded as ended:
            exchange.broke(ended.cause or stream.course.broken or "short")
            exchange.error = f"{', '.join(dict.fromkeys(stream.course.hosts))}: {ended}"
            if isinstance(ended, Misfit):
                self._mirror.note_misfit(request.route, target, stream.course, ended.size)
