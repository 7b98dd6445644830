"""
What monitors and people ask of the mirror itself: is it alive, what is it.

Never echoes anything of the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from docxy import __version__
from docxy.answers import own_answer
from docxy.interfaces import IUpstream, UpstreamError
from docxy.oci.errors import UNSUPPORTED
from docxy.policy.limits import RelayCounter
from docxy.upstream.authority import PING_HEADERS
from docxy.upstream.shared import SharedByKey
from docxy.web.exchange import Exchange
from docxy.web.front import Front
from docxy.web.request import MirrorRequest

FRESH = 5.0  # seconds for which an upstream's state is not asked again

_JSON = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))
_ALLOW = (("Allow", "GET, HEAD"),)


class HealthResource(Resource):
    """
    Serves ``/health``, ``/health?upstream=1`` and ``/generate_204``.

    ``awaits`` tells whether a stand-in is shown until there is a certificate.
    """

    isLeaf = True

    def __init__(
        self,
        front: Front,
        upstreams: Mapping[str, IUpstream],
        relays: RelayCounter,
        clock: IReactorTime,
        awaits: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._front = front
        self._upstreams = upstreams
        self._relays = relays
        self._awaits = awaits
        self._clock = clock
        self._asking: SharedByKey[str] = SharedByKey()
        self._known: dict[str, tuple[float, str]] = {}

    def render(self, request: MirrorRequest) -> int:
        exchange = self._front.exchange(request)
        return exchange.start(self._health(request, exchange))

    async def _health(self, request: MirrorRequest, exchange: Exchange) -> None:
        if request.method not in (b"GET", b"HEAD"):
            raise UNSUPPORTED.error(headers=_ALLOW)
        if request.path.endswith(b"/generate_204"):
            exchange.write(204, ((b"Cache-Control", b"no-store"),), b"")
            return
        state: dict[str, object] = {
            "status": "ok",
            "version": __version__,
            "relays": self._relays.active,
        }
        if self._awaits():
            state["certificate"] = "awaited"
        status = 200
        if b"upstream=1" in request.query.split(b"&"):
            found = await self._states()
            state["upstreams"] = found
            if set(found.values()) != {"ok"}:
                status, state["status"] = 503, "unreachable"
        exchange.answer(own_answer(status, json.dumps(state).encode("ascii"), _JSON))

    async def _states(self) -> dict[str, str]:
        asked = [Deferred.fromCoroutine(self._state(name)) for name in self._upstreams]
        try:
            found = await gatherResults(asked, consumeErrors=True)
        except FirstError as first:
            raise first.subFailure.value or first from None
        return dict(zip(self._upstreams, found, strict=True))

    async def _state(self, name: str) -> str:
        asked_at, found = self._known.get(name, (-FRESH, ""))
        if self._clock.seconds() - asked_at < FRESH:
            return found
        return await self._asking.join(name, lambda: Deferred.fromCoroutine(self._ask(name)))

    async def _ask(self, name: str) -> str:
        try:
            reply = await self._upstreams[name].ping(PING_HEADERS)
        except UpstreamError as error:
            found = str(error)
        else:
            reply.body.drop()
            found = "ok" if reply.status in (200, 401) else f"status {reply.status}"
        self._known[name] = (self._clock.seconds(), found)
        return found
