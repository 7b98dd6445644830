"""
A mirror in memory: the real site and everything behind it, but fake upstreams, sockets and time.

Owns the client's end of a connection: what it sends, what it takes and when it leaves.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from zope.interface import implementer

from docxy.asking import Asking
from docxy.auth import Auth
from docxy.interfaces import Clocks
from docxy.metrics import Metrics
from docxy.mirror import Mirror
from docxy.oci.routes import Kind
from docxy.policy.addressing import Addressing
from docxy.policy.allowances import Allowances
from docxy.policy.limits import ConnectionCounter, RelayCounter
from docxy.settings.values import LimitSettings, ServerSettings, Settings, UpstreamSettings
from docxy.testing import FakeTokenSource, FakeUpstream
from docxy.upstream.parallel import body_maker
from docxy.usage.usage import Usage
from docxy.web.challenge import ChallengeResource
from docxy.web.channel import MirrorChannel
from docxy.web.front import Front
from docxy.web.health import HealthResource
from docxy.web.logins import BasicLogins, Logins
from docxy.web.page import front_page
from docxy.web.repo import Relaying, RepoResource
from docxy.web.search import SearchResource
from docxy.web.site import MirrorSite, Served, url_tree
from docxy.web.token import TokenResource
from docxy.web.traffic import Traffic

PUBLIC = "https://mirror.example.com"
HOST = "mirror.example.com"
CLIENT = "203.0.113.7"

HUB = UpstreamSettings(
    name="docker.io",
    urls=("https://registry-1.docker.io",),
    prefixes=("docker.io",),
    library=True,
    search_url="https://hub.example",
)
GHCR = UpstreamSettings(name="ghcr.io", urls=("https://ghcr.io",), prefixes=("ghcr.io",))


def settings(*upstreams: UpstreamSettings, limits: LimitSettings | None = None, **server: Any) -> Settings:
    """Settings with Docker Hub alone, unless told otherwise."""
    server = {"listen": ("tcp:5000",), "public_urls": (PUBLIC,), **server}
    return Settings(
        server=ServerSettings(**server), upstreams=upstreams or (HUB,), limits=limits or LimitSettings()
    )


class Line(StringTransport):
    """
    The mirror's end of a socket that a client reads from, or does not.

    ``taken`` is what the client has; ``pending`` what waits for it, of which
    the transport holds 64 KiB before it pauses its producer.
    """

    LIMIT = 65536

    def __init__(self, clock: Clock, peer: IAddress, host: IAddress) -> None:
        super().__init__(hostAddress=host, peerAddress=peer)
        self.taken = b""
        self.pending = b""
        self.peak = 0
        self.reading = True
        self.aborted = False
        self.lost = False
        self.protocol: Any = None
        self._clock = clock

    def write(self, data: bytes) -> None:
        """Take ``data`` to the client, or keep it until it reads."""
        if self.disconnecting or self.lost:
            return
        self.pending += data
        self.peak = max(self.peak, len(self.pending))
        if self.reading:
            self.taken, self.pending = self.taken + self.pending, b""
        elif len(self.pending) > self.LIMIT and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Write it all."""
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As sockets have it."""

    def take(self, size: int | None = None) -> None:
        """The client reads: ``size`` bytes of what waits, or all."""
        self.taken, self.pending = self.taken + self.pending[:size], self.pending[len(self.pending[:size]) :]
        if not self.pending and self.producer is not None:
            self.producer.resumeProducing()
        self._end_if_empty()

    def loseConnection(self) -> None:
        """End once all is taken."""
        self.disconnecting = True
        self._end_if_empty()

    def abortConnection(self) -> None:
        """End now, by a reset."""
        self.aborted = True
        self._clock.callLater(0, self.lose, ConnectionAborted())

    def _end_if_empty(self) -> None:
        if self.disconnecting and not self.pending:
            self._clock.callLater(0, self.lose, ConnectionDone())

    def lose(self, error: Exception) -> None:
        """The connection is gone."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(error))


@dataclass(frozen=True, slots=True)
class Came:
    """One answer; ``whole`` tells whether its body was."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error of an OCI JSON body, whose type is told."""
        assert self.headers["Content-Type"] == "application/json"
        return str(self.json["errors"][0]["code"])


class _Socket:
    """What http.client reads an answer from."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def makefile(self, mode: str) -> io.BytesIO:
        """The same file for each answer, which outlives them."""
        self._file.close = lambda: None  # type: ignore[method-assign]
        return self._file


class Connection:
    """The client's end."""

    def __init__(self, site: MirrorSite, clock: Clock, peer: IAddress, host: IAddress) -> None:
        self.clock = clock
        self.line = Line(clock, peer, host)
        self.channel = site.buildProtocol(peer)
        self.line.protocol = self.channel
        self.channel.makeConnection(self.line)
        self._unsent = b""
        self._read = 0

    @property
    def http(self) -> MirrorChannel:
        """The mirror's end, which was not turned away."""
        assert isinstance(self.channel, MirrorChannel)
        return self.channel

    def send(self, data: bytes) -> None:
        """Say this, as far as it is read."""
        self._unsent += data
        while self._unsent and self.line.producerState == "producing" and not self.closed:
            piece, self._unsent = self._unsent[:4096], self._unsent[4096:]
            self.channel.dataReceived(piece)

    @property
    def unread(self) -> int:
        """The bytes that the mirror does not take."""
        return len(self._unsent)

    @property
    def closed(self) -> bool:
        """Whether the mirror's end has closed, in order or not."""
        return self.line.disconnecting or self.line.lost

    def ask(self, target: str, *headers: str, method: str = "GET", host: str = HOST) -> None:
        """Send a request."""
        self.send(request(method, target, *headers, host=host))

    def get(self, target: str, *headers: str, method: str = "GET", host: str = HOST) -> Came:
        """Ask, and read the answer."""
        self.ask(target, *headers, method=method, host=host)
        return self.answer(method)

    def answer(self, method: str = "GET") -> Came:
        """The next answer, as far as it has come."""
        file = io.BytesIO(self.line.taken)
        file.seek(self._read)
        response = http.client.HTTPResponse(_Socket(file), method=method)  # type: ignore[arg-type]
        response.begin()
        try:
            body, whole = response.read(), True
        except http.client.IncompleteRead as short:
            body, whole = short.partial, False
        self._read = file.tell()
        return Came(response.status, response.headers, body, whole)

    @property
    def silent(self) -> bool:
        """Whether nothing came beyond the answers that were read."""
        return self._read == len(self.line.taken)

    def leave(self) -> None:
        """Go away."""
        self.line.lose(ConnectionLost())


def request(method: str, target: str, *headers: str, host: str = HOST, version: str = "1.1") -> bytes:
    """The head of a request."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def address(text: str, port: int = 40000) -> IAddress:
    """The address of a client; "unix" is that of one without."""
    if text == "unix":
        return UNIXAddress(b"")
    kind = IPv6Address if ":" in text else IPv4Address
    return kind("TCP", text, port)


@dataclass
class Rig:
    """A whole mirror of fakes."""

    settings: Settings = field(default_factory=settings)
    clock: Clock = field(default_factory=Clock)
    names: tuple[str, ...] = ()
    awaits: bool = False  # whether a certificate is still to come

    def __post_init__(self) -> None:
        each = self.settings.upstreams
        self.upstreams = {one.name: FakeUpstream() for one in each}
        self.tokens = {one.name: FakeTokenSource(one) for one in each}
        self.metrics = Metrics({})
        self.usage = Usage(self.settings.access, Clocks(self.clock, self.clock.seconds))
        self.traffic = Traffic(self.metrics, self.usage.sent)
        self.front = Front(self.settings, lambda: self.names, self.clock, self.traffic, self.usage)
        limits = self.settings.limits
        self.relays = RelayCounter(limits.relays, limits.relays_per_client)
        self.asks = RelayCounter(limits.asks, limits.asks_per_client, "requests to registries")
        self.open = ConnectionCounter(limits.connections, limits.connections_per_client)
        self.health = HealthResource(self.front, self.upstreams, self.relays, self.clock, lambda: self.awaits)
        find = url_tree(self.front, self._by_kind(), self.health, front_page(self.front))
        self.site = MirrorSite(Served(self.settings, self.front, find), self.open, self.clock)

    def _by_kind(self) -> Mapping[Kind, IResource]:
        clocks = Clocks(self.clock, self.clock.seconds)
        addressing = Addressing(self.settings)
        auth = Auth(self.settings, addressing, self.upstreams, self.tokens, clocks)
        limits = self.settings.limits
        mend = body_maker(limits, self.clock)
        asking = Asking(self.upstreams, self.tokens, clocks, self.metrics, Allowances())
        mirror = Mirror(limits, asking, auth, mend, clocks)
        relaying = Relaying(self.relays, self.clock, limits.client_stall, self.usage)
        logins = Logins(self.clock)
        basic = BasicLogins(auth, logins)
        repo = RepoResource(self.front, addressing, mirror, relaying, basic)
        search = SearchResource(self.front, addressing, mirror, self.asks)
        return dict.fromkeys(Kind, repo) | {
            Kind.PING: ChallengeResource(self.front, addressing, auth, self.asks, basic),
            Kind.TOKEN: TokenResource(self.front, auth, self.asks, logins),
            Kind.V1_PING: search,
            Kind.V1_SEARCH: search,
        }

    @property
    def hub(self) -> FakeUpstream:
        """Docker Hub."""
        return self.upstreams["docker.io"]

    def connect(self, peer: str = CLIENT, host: str = "192.0.2.1") -> Connection:
        """A new connection of a client."""
        return Connection(self.site, self.clock, address(peer), address(host, 5000))

    def connections(self) -> int:
        """How many the site counts."""
        return len(self.site._channels)


@implementer(ILogObserver)
class Logged:
    """The events logged while a test runs."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self)
        test.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: LogEvent) -> None:
        """Keep one."""
        self.events.append(event)

    def said(self, namespace: str, level: str | None = None) -> list[str]:
        """What this module has logged, at this level where one is named."""
        return [
            str(event["log_format"]).format(**event)
            for event in self.events
            if event.get("log_namespace") == namespace and level in (None, event["log_level"].name)
        ]

    @property
    def access(self) -> list[LogEvent]:
        """Those of requests."""
        return [event for event in self.events if event.get("access")]


def with_limits(**limits: Any) -> Settings:
    """Settings with other limits."""
    return settings(limits=replace(LimitSettings(), **limits))
