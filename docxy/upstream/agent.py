"""
How connections to one upstream, its realm and its CDN are made and kept.

One pool an upstream: pools are keyed by host, and one upstream's extra trust
root must not serve another.  Knows nothing of the registry protocol.

Twisted's client bounds a header line (16 KiB), a chunk's size line and the
trailers (64 KiB), but neither the number of header lines nor that of 1xx
answers before the answer: `BoundedClient` does.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - else loaded by the first look-up, which a chroot or spent files can fail
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from docxy.interfaces import UpstreamBroken
from docxy.policy.addresses import check_address
from docxy.settings.values import NetworkSettings, UpstreamSettings
from docxy.upstream.body import ResponseBody
from docxy.upstream.resolver import CheckedReactor, CheckedResolver

CONNECT_TIMEOUT = 6.0  # seconds, below the limit of one attempt so that the cause is told apart
POOL_IDLE = 55  # seconds; registries and CDNs close at 60 and more
POOL_SIZE = 32  # idle connections kept per host: clients fetch 3 to 6 layers at once

MAX_HEAD = 65536  # bytes before a body, 1xx answers included; four times what clients of registries take
_PIECE = 4096  # bytes of a head given to Twisted at once: its time grows with the square of this

_T = TypeVar("_T")


class HeadTooLarge(Exception):
    """A peer sent more than `MAX_HEAD` bytes before a body."""

    def __init__(self) -> None:
        super().__init__(f"its headers are larger than {MAX_HEAD} bytes")


class BoundedClient(HTTP11ClientProtocol):
    """
    One client connection, which a peer that sends a head without end loses.

    A head is what comes between a request and its answer.  The request in
    progress fails with a `ResponseFailed` for the reason `HeadTooLarge`.
    """

    _room: int | None = None  # bytes left for the head; None while none is awaited
    _requests = 0
    _too_large = False

    def request(self, request: Request) -> Deferred[IResponse]:
        self._requests += 1
        self._room = MAX_HEAD
        return super().request(request).addBoth(self._answered)

    def _answered(self, outcome: _T) -> _T:
        self._room = None
        return outcome

    def dataReceived(self, data: bytes) -> None:
        asked = self._requests
        while data and self._room is not None:
            piece, data = data[:_PIECE], data[_PIECE:]
            self._room -= len(piece)
            super().dataReceived(piece)
            self._too_large = self._room is not None and self._room < 0
            if self._too_large or self._requests != asked:
                # In the second case `data` would answer a request sent a moment ago.
                self.transport.abortConnection()  # type: ignore[union-attr]  # an ITCPTransport
                return
        if data:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(Failure(HeadTooLarge()) if self._too_large else reason)


class BoundedFactory(Factory):
    """Makes the connections of a `BoundedPool`; ``idle`` is told of each that can serve again."""

    noisy = False

    def __init__(self, idle: Callable[[HTTP11ClientProtocol], None], where: str) -> None:
        self._idle = idle
        self._where = where

    def __repr__(self) -> str:
        return f"BoundedFactory({self._where})"

    def buildProtocol(self, _: IAddress | None) -> BoundedClient:
        return BoundedClient(self._idle)


class BoundedPool(HTTPConnectionPool):
    """A pool whose connections are `BoundedClient`s."""

    # The pool's one seam, in its documentation if not in its name.
    _factory = BoundedFactory  # type: ignore[assignment]


@implementer(IAgentEndpointFactory)
class EndpointFactory:
    """Endpoints whose resolved addresses were checked, over TLS for https."""

    def __init__(self, reactor: Any, trust: IPolicyForHTTPS, source: str | None) -> None:
        self._reactor = reactor
        self._trust = trust
        self._source = source

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint = HostnameEndpoint(self._reactor, uri.host, uri.port, CONNECT_TIMEOUT, self._source)
        if uri.scheme == b"https":
            return wrapClientTLS(self._trust.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint


def _family(network: NetworkSettings) -> str:
    """The family to connect by: a source address has one, and cannot reach the other."""
    if network.source is None:
        return network.family
    return "6" if ":" in network.source else "4"


def make_agent(reactor: Any, settings: UpstreamSettings, trust: IPolicyForHTTPS) -> IAgent:
    """An agent that meets only hosts and addresses that ``settings`` allow."""
    network = settings.network

    def allowed(address: str, host: str) -> bool:
        return check_address(address, host=host, upstream=settings)

    checked = CheckedReactor(reactor, CheckedResolver(reactor.nameResolver, allowed, _family(network)))
    return pooled_agent(reactor, EndpointFactory(checked, trust, network.source))


def pooled_agent(reactor: Any, endpoints: IAgentEndpointFactory) -> IAgent:
    """An agent that keeps its connections, bounds heads, and connects as ``endpoints`` say."""
    pool = BoundedPool(reactor, persistent=True)
    pool.maxPersistentPerHost = POOL_SIZE
    pool.cachedConnectionTimeout = POOL_IDLE
    agent: IAgent = Agent.usingEndpointFactory(reactor, endpoints, pool)
    return agent


@implementer(IAgent)
class IdentityAgent:
    """
    ``agent``, asked for bytes as they are whatever the request says, and taken at that word.

    A compressed answer fails with `UpstreamBroken`: a small one may unpack to
    a thousand times its size, before anybody can count.
    """

    def __init__(self, agent: IAgent, clock: IReactorTime) -> None:
        self._agent = agent
        self._clock = clock

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        asked = Headers() if headers is None else headers.copy()
        asked.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, asked, bodyProducer).addCallback(self._plain)

    def _plain(self, response: IResponse) -> IResponse:
        coding = b",".join(response.headers.getRawHeaders(b"Content-Encoding", [])).strip().lower()
        if coding in (b"", b"identity"):
            return response
        ResponseBody(response, self._clock).drop()
        raise UpstreamBroken("its answer is compressed, which was not asked for")
