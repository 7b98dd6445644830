"""
How connections to one upstream, its realm and its CDN are made and kept.

One pool an upstream: pools are keyed by host, and one upstream's extra trust
root must not serve another.  What a connection to an address ended in is noted
in the upstream's `FailureMemory`.  Knows nothing of the registry protocol.

Twisted's client bounds a header line (16 KiB), a chunk's size line and the
trailers (64 KiB), but neither the number of header lines nor that of 1xx
answers before the answer, each of which it logs: `BoundedClient` does.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - else loaded by the first look-up, which a chroot or spent files can fail
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from docxy.interfaces import UpstreamBroken
from docxy.policy.addresses import check_address
from docxy.settings.values import NetworkSettings, UpstreamSettings
from docxy.tls.bulk import client_endpoint
from docxy.upstream.body import ResponseBody
from docxy.upstream.failures import FailureMemory
from docxy.upstream.resolver import CheckedReactor, CheckedResolver, JudgedEndpoint

CONNECT_TIMEOUT = 6.0  # seconds, below the limit of one attempt so that the cause is told apart
POOL_IDLE = 55  # seconds; registries and CDNs close at 60 and more
MAX_ENDPOINTS = 16  # hosts whose endpoints are kept
POOL_SIZE = 32  # idle connections kept per host: clients fetch 3 to 6 layers at once

MAX_HEAD = 65536  # bytes before a body, 1xx answers included; four times what clients of registries take
MAX_INTERIM = 16  # 1xx answers before an answer; more than any server has a reason to send
_PIECE = 4096  # bytes of a head given to Twisted at once: its time grows with the square of this

_ADDRESS = "_docxy_address"  # set on responses and on failures, which have no place for it


class HeadTooLarge(Exception):
    """A peer sent more than `MAX_HEAD` bytes before a body, or more than `MAX_INTERIM` 1xx answers."""


@implementer(ILogObserver)
class InterimCount:
    """Counts events instead of writing them: by one, and by nothing else, Twisted's parser tells of a 1xx."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, event: LogEvent) -> None:
        self.count += 1


def address_of(outcome: object) -> str:
    """The IP address behind a response or a failed request; empty where none is known."""
    address: str = getattr(outcome, _ADDRESS, "")
    return address


class BoundedClient(HTTP11ClientProtocol):
    """
    One client connection, which a peer that sends a head without end loses.

    A head is what comes between a request and its answer.  The request in
    progress fails with a `ResponseFailed` for the reason `HeadTooLarge`.

    ``answered_at`` is when it last proved good, on the clock of ``failures``.
    """

    _room: int | None = None  # bytes left for the head; None while none is awaited
    _requests = 0
    _excess = ""  # what there was too much of
    address = ""

    def __init__(self, idle: Callable[[HTTP11ClientProtocol], None], failures: FailureMemory) -> None:
        super().__init__(idle)
        self._failures = failures
        self._interim = InterimCount()  # since the last request
        self.answered_at = failures.now()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.address = getattr(self.transport.getPeer(), "host", "")  # type: ignore[union-attr]

    def request(self, request: Request) -> Deferred[IResponse]:
        self._requests += 1
        self._room = MAX_HEAD
        self._interim = InterimCount()
        waiting = super().request(request).addCallbacks(self._answered, self._unanswered)
        if self._parser is not None:
            self._parser._log = Logger(__name__, observer=self._interim)
        return waiting

    def _answered(self, response: IResponse) -> IResponse:
        self._room = None
        self.answered_at = self._failures.now()
        setattr(response, _ADDRESS, self.address)
        return response

    def _unanswered(self, failure: Failure) -> Failure:
        self._room = None
        # That a connection died while it was kept says nothing of the address.
        if self._requests == 1:
            setattr(failure.value, _ADDRESS, self.address)
            if not _is_given_up(failure):
                self._failures.note(self.address)
        return failure

    def dataReceived(self, data: bytes) -> None:
        asked = self._requests
        while data and self._room is not None:
            piece, data = data[:_PIECE], data[_PIECE:]
            self._room -= len(piece)
            super().dataReceived(piece)
            self._excess = self._too_much()
            if self._excess or self._requests != asked:
                # In the second case `data` would answer a request sent a moment ago.
                self.transport.abortConnection()  # type: ignore[union-attr]  # an ITCPTransport
                return
        if data:
            super().dataReceived(data)

    def _too_much(self) -> str:
        """What there is too much of in the head that is awaited; empty where none is, or all is well."""
        if self._room is not None and self._room < 0:
            return f"its headers are larger than {MAX_HEAD} bytes"
        if self._room is not None and self._interim.count > MAX_INTERIM:
            return f"it sent more than {MAX_INTERIM} interim answers"
        return ""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(Failure(HeadTooLarge(self._excess)) if self._excess else reason)


def _is_given_up(failure: Failure) -> bool:
    """Whether a request ended because we wanted no answer any more."""
    reasons: list[Failure] = getattr(failure.value, "reasons", None) or [failure]
    return any(reason.check(CancelledError) for reason in reasons)


class BoundedFactory(Factory):
    """Makes the connections of a `BoundedPool`; ``idle`` is told of each that can serve again."""

    noisy = False

    def __init__(
        self, failures: FailureMemory, idle: Callable[[HTTP11ClientProtocol], None], where: str
    ) -> None:
        self._failures = failures
        self._idle = idle
        self._where = where

    def __repr__(self) -> str:
        return f"BoundedFactory({self._where})"

    def buildProtocol(self, _: IAddress | None) -> BoundedClient:
        return BoundedClient(self._idle, self._failures)


class BoundedPool(HTTPConnectionPool):
    """A pool whose connections are `BoundedClient`s, and which keeps none to an address that failed since."""

    def __init__(self, reactor: Any, failures: FailureMemory, persistent: bool) -> None:
        super().__init__(reactor, persistent)
        self.maxPersistentPerHost = POOL_SIZE
        self.cachedConnectionTimeout = POOL_IDLE
        self._failures = failures
        # The pool's one seam, in its documentation if not in its name.
        self._factory = partial(BoundedFactory, failures)  # type: ignore[assignment]

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[HTTP11ClientProtocol]:
        self._drop_doubtful(key)
        return super().getConnection(key, endpoint)

    def retire(self) -> None:
        """Keep no connection any more; one that is in use is closed after its answer."""
        self.cachedConnectionTimeout = 0
        self.closeCachedConnections()

    def _drop_doubtful(self, key: Hashable) -> None:
        for connection in list(self._connections.get(key, ())):
            if self._failures.failed_since(connection.address, connection.answered_at):
                self._timeouts[connection].cancel()
                self._removeConnection(key, connection)


@implementer(IAgentEndpointFactory)
class EndpointFactory:
    """
    Endpoints whose resolved addresses were checked, over TLS for https.

    ``refuses`` tells of a host whether that check left no address; ``bulk`` is the setting ``tls.bulk``.
    """

    def __init__(
        self,
        reactor: Any,
        trust: IPolicyForHTTPS,
        source: str | None,
        refuses: Callable[[str], bool],
        bulk: bool = True,
    ) -> None:
        self._reactor = reactor
        self._trust = trust
        self._source = source
        self._refuses = refuses
        self._bulk = bulk
        # The agent asks for one with every request, and a name's encoding is dear.
        self._plain = lru_cache(MAX_ENDPOINTS)(self._made)

    def _made(self, host: bytes, port: int) -> IStreamClientEndpoint:
        named = HostnameEndpoint(self._reactor, host, port, CONNECT_TIMEOUT, self._source)
        return JudgedEndpoint(named, partial(self._refuses, host.decode("ascii")))

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint = self._plain(uri.host, uri.port)
        if uri.scheme == b"https":
            creator = self._trust.creatorForNetloc(uri.host, uri.port)
            return client_endpoint(creator, endpoint, self._reactor, self._bulk)
        return endpoint


def _family(network: NetworkSettings) -> str:
    """The family to connect by: a source address has one, and cannot reach the other."""
    if network.source is None:
        return network.family
    return "6" if ":" in network.source else "4"


@implementer(IAgent)
class UpstreamAgent:
    """
    The ways to one upstream: itself over connections that are kept, ``anew`` over new ones only.

    Both bound heads, connect as ``endpoints`` say, and note in ``failures`` the
    addresses that a new connection got no answer from.
    """

    def __init__(self, reactor: Any, endpoints: IAgentEndpointFactory, failures: FailureMemory) -> None:
        self.failures = failures
        self._pool = BoundedPool(reactor, failures, True)
        self._kept = Agent.usingEndpointFactory(reactor, endpoints, self._pool)
        self.anew: IAgent = Agent.usingEndpointFactory(
            reactor, endpoints, BoundedPool(reactor, failures, False)
        )

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        sent: Deferred[IResponse] = self._kept.request(method, uri, headers, bodyProducer)
        return sent

    def retire(self) -> None:
        """Close what is idle, and later what is in use now; requests are served all the same."""
        self._pool.retire()


def make_agent(
    reactor: Any, settings: UpstreamSettings, trust: IPolicyForHTTPS, bulk: bool = True
) -> UpstreamAgent:
    """An agent that meets only hosts and addresses that ``settings`` allow."""
    network = settings.network
    failures = FailureMemory(reactor)

    def allowed(address: str, host: str) -> bool:
        return check_address(address, host=host, upstream=settings)

    resolver = CheckedResolver(reactor.nameResolver, allowed, failures, _family(network))
    checked = CheckedReactor(reactor, resolver, failures)
    endpoints = EndpointFactory(checked, trust, network.source, resolver.refuses)
    return UpstreamAgent(reactor, endpoints, failures)


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
