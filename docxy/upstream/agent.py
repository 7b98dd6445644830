"""
How connections to one upstream, its realm and its CDN are made and kept.

One pool an upstream: pools are keyed by host, and one upstream's extra trust
root must not serve another.  Knows nothing of the registry protocol.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from docxy.policy.addresses import check_address
from docxy.settings.values import NetworkSettings, UpstreamSettings
from docxy.upstream.resolver import CheckedReactor, CheckedResolver

CONNECT_TIMEOUT = 6.0  # seconds, below the limit of one attempt so that the cause is told apart
POOL_IDLE = 55  # seconds; registries and CDNs close at 60 and more
POOL_SIZE = 32  # idle connections kept per host: clients fetch 3 to 6 layers at once


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
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = POOL_SIZE
    pool.cachedConnectionTimeout = POOL_IDLE
    agent: IAgent = Agent.usingEndpointFactory(reactor, EndpointFactory(checked, trust, network.source), pool)
    return agent
