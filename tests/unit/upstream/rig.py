"""
The internet in memory: real clients against real sites, each origin a server of its own.

Nothing waits: `Internet.advance` moves the clock and then every byte there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.test.iosim import IOPump, connect
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.server import Site
from zope.interface import implementer

from docxy.interfaces import Clocks, HeaderLines, Reply
from docxy.settings.values import Account, LimitSettings, UpstreamSettings
from docxy.upstream.agent import UpstreamAgent
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.failures import FailureMemory
from docxy.upstream.fetch import Upstream
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.resolver import in_order
from docxy.upstream.tokens import TokenSource
from tests.unit.upstream.servers import (
    Answering,
    Answers,
    Page,
    RawFactory,
    Seen,
    Transport,
    reply,
    silent,
)

__all__ = ["Answering", "Answers", "Seen", "reply", "silent"]  # beside all that is defined here

_T = TypeVar("_T")
_E = TypeVar("_E", bound=BaseException)

LIMITS = LimitSettings()
HERE = IPv4Address("TCP", "192.0.2.1", 1)
WALL = 1_800_000_000.0  # when the tests take place
HUB = "https://hub.example"
REALM = "https://auth.example/token"
CDN = "https://cdn.example"

SETTINGS = UpstreamSettings(
    name="hub.example",
    urls=(HUB,),
    realm=REALM,
    service="hub",
    redirects=("cdn.example", "cdn.example:8443", "*.store.example"),
)


@implementer(IAgentEndpointFactory)
class Internet:
    """
    Origins by name, the connections made to them, and what was asked there.

    An origin has one address, unless `place` gave it others; a server may be at one of them alone.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.seen: list[Seen] = []
        self.unreachable: dict[str, Exception] = {}
        self.dialled: list[str] = []
        self.failures = FailureMemory(self.clock)
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._servers: dict[str, IProtocolFactory] = {}
        self._pages: dict[str, Page] = {}
        self.pumps: list[IOPump] = []

    def place(self, origin: str, *addresses: str) -> None:
        """Let ``origin`` be at these addresses, as a resolver tells them."""
        self._addresses[origin] = addresses

    def serve(self, origin: str, answering: Answering, at: str = "") -> None:
        """Let ``origin`` answer by this function, on connections made before as well."""
        if origin + at in self._pages:
            self._pages[origin + at].answering = answering
        else:
            page = self._pages[origin + at] = Page(origin, self.seen, answering)
            self._servers[origin + at] = Site(page, reactor=self.clock)

    def raw(self, origin: str, at: str = "") -> RawFactory:
        """Let ``origin`` be a server whose bytes the test writes."""
        self._pages.pop(origin + at, None)
        factory = self._servers[origin + at] = RawFactory()
        return factory

    def agent(self) -> UpstreamAgent:
        """A client of this internet, of the kind that docxy uses, with a memory of its own."""
        self.failures = FailureMemory(self.clock)
        return UpstreamAgent(self.clock, self, self.failures)

    def endpointForURI(self, uri: URI) -> Endpoint:
        port = {b"https": 443, b"http": 80}[uri.scheme]
        suffix = "" if uri.port == port else f":{uri.port}"
        return Endpoint(self, f"{uri.scheme.decode()}://{uri.host.decode()}{suffix}")

    def dial(self, origin: str, client_factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a client; a host nobody serves swallows packets."""
        self.dialled.append(origin)
        if origin in self.unreachable:
            return fail(self.unreachable[origin])
        address = self._address(origin)
        server_factory = self._servers.get(origin + address.host) or self._servers.get(origin)
        if server_factory is None:
            return Deferred()
        server = server_factory.buildProtocol(HERE)
        client = client_factory.buildProtocol(address)
        assert server is not None
        assert client is not None
        transport = Transport(client, False, peerAddress=address)
        pump = connect(server, Transport(server, True), client, transport, clock=self.clock)
        self.pumps.append(pump)
        return succeed(client)

    def _address(self, origin: str) -> IPv4Address | IPv6Address:
        """Where a client connects to, by what it remembers."""
        own = f"198.51.100.{len(self._addresses) + 1}"
        named = self._addresses.setdefault(origin, (own,))
        found = [(IPv6Address if ":" in each else IPv4Address)("TCP", each, 443) for each in named]
        return in_order(found, self.failures)[0]

    def flush(self) -> None:
        """Move every byte there is, and those that these cause."""
        moved = True
        while moved:
            moved = sum(pump.flush() for pump in list(self.pumps)) > 0

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, and bytes before and after."""
        self.flush()
        self.clock.advance(seconds)
        self.flush()

    def transcript(self) -> list[str]:
        """What was asked, in order: method and URL."""
        return [str(seen) for seen in self.seen]

    def open_connections(self) -> list[Transport]:
        """Client sides that have not ended."""
        return [pump.clientIO for pump in self.pumps if not pump.clientIO.disconnecting]


@dataclass(frozen=True)
class Endpoint:
    """Connects to one origin of an internet."""

    internet: Internet
    origin: str

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self.internet.dial(self.origin, factory)


@dataclass
class Side:
    """Everything of one upstream, wired as the service wires it."""

    settings: UpstreamSettings
    upstream: Upstream
    authorities: AuthoritySource
    tokens: TokenSource
    ledger: TokenLedger


def refused_connection() -> Exception:
    """What a closed port says."""
    return ConnectionRefusedError(111, "Connection refused.")


class UpstreamTestCase(SynchronousTestCase):
    """One internet for each test; nothing may be left running on its clock."""

    def setUp(self) -> None:
        self.net = Internet()
        self.clock = self.net.clock
        self.events: list[LogEvent] = []
        self.agent = self.net.agent()
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def side(self, ledger: TokenLedger | None = None, **changes: Any) -> Side:
        """Upstream, authority and tokens for the settings of the rig with ``changes``."""
        settings = replace(SETTINGS, **changes)
        upstream = Upstream(settings, LIMITS, self.agent, self.clock, lambda: 0.0)
        authorities = AuthoritySource(settings, upstream, self.clock)
        clocks = Clocks(self.clock, lambda: WALL + self.clock.seconds())
        ledger = TokenLedger() if ledger is None else ledger
        tokens = TokenSource(settings, LIMITS, self.agent, authorities, ledger, clocks)
        return Side(settings, upstream, authorities, tokens, ledger)

    def done(self, waiting: Deferred[_T]) -> _T:
        """The result, once all bytes have moved; no time passes."""
        self.net.advance()
        return self.successResultOf(waiting)

    def failed(self, waiting: Deferred[Any], kind: type[_E]) -> _E:
        """The error of this kind that it failed with, once all bytes have moved."""
        self.net.advance()
        error = self.failureResultOf(waiting, kind).value
        assert isinstance(error, kind)
        return error

    def text(self, found: Reply) -> bytes:
        """A reply's whole body."""
        return self.done(found.body.read(1 << 20))

    def said(self) -> str:
        """Everything that was logged, with all fields of every event."""
        return "\n".join(f"{formatEvent(event)} {event}" for event in self.events)

    def assert_idle(self) -> None:
        """No timer runs but those of pooled connections and of the fake servers."""
        self.net.advance()
        self.assertEqual(set(timers(self.clock)) - _HARMLESS_TIMERS, set())


_HARMLESS_TIMERS = {
    "HTTPConnectionPool._removeConnection",
    "HTTPFactory._updateLogDateTime",
    "TimeoutMixin.__timedOut",
}


def timers(clock: Clock) -> dict[str, Any]:
    """The calls that wait on this clock, by the names of what they call."""
    waiting: list[Any] = list(clock.getDelayedCalls())
    return {call.func.__qualname__: call for call in waiting}


def account(password_file: str) -> Account:
    """An account whose password is in that file."""
    return Account("alice", password_file)


def lines(**headers: str) -> HeaderLines:
    """Header lines from keywords: ``accept_encoding`` is a header's name."""
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
