"""
The whole URL tree, and the connections that reach it.

One pull, start to end: `MirrorSite` -> `RepoResource.render` -> the route,
read from the raw path -> `Mirror.pull`: credential, quota, upstream fetch
(redirects followed there, each hop checked) -> `headers.response_to_client`
-> `BodyRelay` -> one log event.  Resources hold no policy: parse, ask, relay.
Every refusal is a `RegistryError`, raised anywhere, written by `Exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from docxy.oci.errors import NOT_FOUND, RegistryError
from docxy.oci.routes import Kind, parse
from docxy.policy.access import allowed
from docxy.policy.addresses import networks
from docxy.policy.limits import ConnectionCounter
from docxy.policy.proxies import UNIX, client_address
from docxy.settings.values import Settings
from docxy.web.channel import MirrorChannel
from docxy.web.front import Front
from docxy.web.page import RefusalResource
from docxy.web.request import MirrorRequest

IDLE = 75  # seconds between requests; docker and containerd close at 30, podman at 90

Finder = Callable[[MirrorRequest], IResource]


def url_tree(front: Front, by_kind: Mapping[Kind, IResource], health: IResource, page: IResource) -> Finder:
    """
    The tree, as the function from a request to its resource.

    ``by_kind`` serves ``/v2/``, ``/v1/`` and ``/auth/``.  Under a secret path
    the page and the health checks are only there, but for loopback's checks,
    and what is malformed is told to those who show the secret.
    """
    own = {"/": page, "/health": health, "/generate_204": health}
    pages = {f"{base}{path}".encode("ascii"): own[path] for base in front.pages_below for path in own}

    def find(request: MirrorRequest) -> IResource:
        fixed = pages.get(request.path)
        if fixed is not None:
            return fixed
        if request.path == b"/health" and front.is_local(request):
            return health
        try:
            request.route = parse(request.method, request.path, request.query)
        except RegistryError:
            if not front.shows_secret(request):
                raise NOT_FOUND.error() from None  # what there is, is for those who know the secret
            raise
        return by_kind[request.route.kind]

    return find


@dataclass(frozen=True, slots=True)
class Served:
    """What a site serves, to whom, and within which limits: all that a reload replaces at once."""

    settings: Settings
    front: Front
    find: Finder


class TurnedAway(Protocol):
    """A connection that is not wanted: None, which plain sockets understand, is an error below TLS."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class MirrorSite(Site):
    """
    Serves the resources of ``served`` to admitted clients; another one serves from the next request on.

    ``connections`` counts those of all sites of the process: they share its file descriptors.
    """

    noisy = False
    protocol = MirrorChannel  # type: ignore[assignment]  # HTTP/2 is never offered

    def __init__(self, served: Served, connections: ConnectionCounter, clock: IReactorTime) -> None:
        super().__init__(Resource(), MirrorRequest, timeout=IDLE, reactor=clock)
        self.served = served
        self._channels: set[MirrorChannel] = set()
        self._connections = connections
        self._drained: list[Deferred[None]] = []

    def log(self, request: Any) -> None:
        """Nothing: the stock access log writes query strings; `Exchange` logs instead."""

    # Connections

    def startFactory(self) -> None:
        """Not the inherited one: it keeps the time for the stock access log."""

    def buildProtocol(self, addr: IAddress | None) -> MirrorChannel | TurnedAway:  # type: ignore[override]
        counted = self._counted(addr)
        if self._drained or not self._connections.take(counted):
            return TurnedAway()
        channel: MirrorChannel = super().buildProtocol(addr)
        limits = self.served.settings.limits
        channel.header_seconds = limits.request_headers
        channel.client_stall = limits.client_stall
        channel.networks = counted
        self._channels.add(channel)
        return channel

    def _counted(self, addr: IAddress | None) -> tuple[str, ...]:
        """Whose connection it is; nobody's in particular, where a proxy that we trust carries everybody's."""
        host = _host(addr)
        trusted = self.served.settings.server.trusted_proxies
        if host is None or (trusted and allowed(host, trusted)):
            return ()
        return networks(host)

    def channel_lost(self, channel: MirrorChannel) -> None:
        """A connection that `buildProtocol` made has ended."""
        if channel not in self._channels:
            return
        self._channels.discard(channel)
        self._connections.release(channel.networks)
        if not self._channels:
            self._fire_drained()

    def client_of(self, channel: MirrorChannel) -> str:
        """The other end of a connection, for the log."""
        host = _host(channel.getPeer())
        return UNIX if host is None else client_address(host, (), ())

    # Requests

    def count_refused(self, status: int) -> None:
        """A connection was refused before there was a request."""
        self.served.front.traffic.refused(status)

    def resource_for(self, request: MirrorRequest) -> IResource:
        """The resource that serves this request; a refusal is one too."""
        front = self.served.front
        try:
            if request.path != b"/health" or not front.is_local(request):
                front.admit(request)
            return self.served.find(request)
        except RegistryError as error:
            return RefusalResource(front, error)

    # The end

    @property
    def is_draining(self) -> bool:
        """Whether it takes no connection more."""
        return bool(self._drained)

    def drain(self, grace: float = 0.0) -> Deferred[None]:
        """
        Take no connection more; fires when the last answer is given and its connection closed.

        Who is idle may send one more request for ``grace`` seconds.
        """
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        for channel in list(self._channels):
            channel.finish_soon(grace)
        if not self._channels:
            self._fire_drained()
        return drained

    def end_short(self) -> None:
        """End every answer short of its end, and every connection in order."""
        for channel in list(self._channels):
            channel.end_short()

    def abort(self) -> None:
        """End every connection at once."""
        for channel in list(self._channels):
            channel.abort()

    def _fire_drained(self) -> None:
        waiting, self._drained = self._drained[:], self._drained
        for drained in waiting:
            if not drained.called:
                drained.callback(None)


def _host(addr: IAddress | None) -> str | None:
    return addr.host if isinstance(addr, IPv4Address | IPv6Address) else None
