"""
Tests of `docxy.upstream.agent`: where connections go.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface.verify import verifyObject

from docxy.settings.values import NetworkSettings, UpstreamSettings
from docxy.tls.client import ClientTrust
from docxy.upstream.agent import (
    CONNECT_TIMEOUT,
    POOL_IDLE,
    POOL_SIZE,
    EndpointFactory,
    make_agent,
)
from docxy.upstream.resolver import AddressesRefused
from tests.unit.upstream.rig import HUB, timers
from tests.unit.upstream.test_resolver import FixedResolver

OK = b"HTTP/1.1 200 OK\r\n"
SETTINGS = UpstreamSettings("hub.example", (HUB,), trusted_hosts=frozenset({"lan.example"}))


class ImportTests(SynchronousTestCase):
    def test_idna(self) -> None:
        """What look-ups need of Python is there before the first of them."""
        code = "import docxy.upstream.agent, sys; sys.exit('encodings.idna' not in sys.modules)"
        found = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        self.assertEqual(found.returncode, 0)


class SocketLike(StringTransport):
    """A transport that can be told not to wait."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """No socket, no delay."""


class MakeAgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = FixedResolver("10.0.0.7", "8.8.8.8", "2a00::8")
        EventLoggingObserver.createWithCleanup(self, globalLogPublisher)  # type: ignore[arg-type]

    def ask(self, url: bytes, **network: Any) -> Deferred[IResponse]:
        """Ask for a URL by an agent with these network settings."""
        settings = replace(SETTINGS, network=NetworkSettings(**network))
        waiting = make_agent(self.reactor, settings, ClientTrust()).request(b"GET", url)
        self.addCleanup(lambda: waiting.addErrback(lambda _: None).cancel())
        return waiting

    def dialled(self) -> list[tuple[object, ...]]:
        """Addresses that were dialled: host, port, time limit and own address."""
        self.reactor.advance(1)
        return [(host, port, limit, own) for host, port, _, limit, own in self.reactor.tcpClients]

    def test_public_addresses(self) -> None:
        """Only public addresses are dialled, the first one at once, within the time to connect."""
        self.ask(b"http://hub.example/v2/")
        self.assertEqual(self.dialled()[0], ("8.8.8.8", 80, CONNECT_TIMEOUT, None))
        self.assertNotIn("10.0.0.7", [host for host, *_ in self.dialled()])

    def test_no_address_left(self) -> None:
        """A name with private addresses only is told apart from one without any."""
        for url in (b"https://hub.example/", b"http://hub.example/"):
            self.reactor.nameResolver = FixedResolver("169.254.169.254")
            self.failureResultOf(self.ask(url), AddressesRefused)
            self.reactor.nameResolver = FixedResolver()
            self.failureResultOf(self.ask(url), DNSLookupError)
        self.assertEqual(self.dialled(), [])

    def test_exceptions(self) -> None:
        """A host named in full, and a network that the settings allow, may be private."""
        self.ask(b"http://lan.example:5000/")
        self.ask(b"http://hub.example/", allow=(ip_network("10.0.0.0/8"),))
        self.assertEqual(
            [each[:2] for each in self.dialled() if each[0] == "10.0.0.7"],
            [("10.0.0.7", 5000), ("10.0.0.7", 80)],
        )

    def test_literals(self) -> None:
        """An address in a URL is judged like one that a name led to."""
        self.reactor.nameResolver = FixedResolver("::1")
        self.failureResultOf(self.ask(b"https://[::1]:5000/"), AddressesRefused)
        self.assertEqual(self.reactor.nameResolver.asked[0][:2], ("::1", 5000))

    def test_source(self) -> None:
        """Connections leave by the address that the settings name."""
        self.reactor.nameResolver = FixedResolver("8.8.8.8")
        self.ask(b"http://hub.example/", source="192.0.2.1", family="4")
        self.assertEqual(self.dialled(), [("8.8.8.8", 80, CONNECT_TIMEOUT, ("192.0.2.1", 0))])

    def test_tls(self) -> None:
        """For https the handshake comes first: nothing of the request is readable."""
        self.ask(b"https://hub.example/v2/secret")
        factory = self.reactor.tcpClients[0][2]
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        transport = SocketLike()
        protocol.makeConnection(transport)
        self.assertEqual(transport.value()[:1], b"\x16")
        self.assertNotIn(b"secret", transport.value())
        self.assertIn(b"hub.example", transport.value())

    def test_refusing_address(self) -> None:
        """An address that refuses is dialled last the next time, by connections kept or not."""
        self.reactor.nameResolver = FixedResolver("8.8.8.8", "8.8.4.4")
        agent = make_agent(self.reactor, SETTINGS, ClientTrust())
        for ask in (agent.request, agent.anew.request):
            ask(b"GET", b"http://hub.example/").addErrback(lambda _: None)
            self.reactor.advance(1)
            refused = self.reactor.tcpClients[0][2]
            refused.clientConnectionFailed(self.reactor.connectors[0], Failure(ConnectionRefusedError()))
        dialled = [host for host, *_ in self.dialled()]
        self.assertEqual(dialled, ["8.8.8.8", "8.8.4.4", "8.8.4.4", "8.8.8.8"])

    def test_pool(self) -> None:
        """Connections are kept for their next use, as many a host as clients open, not for ever."""
        waiting = self.ask(b"http://lan.example/")
        protocol = self.reactor.tcpClients[0][2].buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(OK + b"Content-Length: 0\r\n\r\n")
        self.successResultOf(waiting)
        call = timers(self.reactor)["HTTPConnectionPool._removeConnection"]
        self.assertEqual((call.getTime(), call.func.__self__.maxPersistentPerHost), (POOL_IDLE, POOL_SIZE))

    def test_interfaces(self) -> None:
        """Agent and endpoint factory are what Twisted expects."""
        agent = make_agent(self.reactor, SETTINGS, ClientTrust())
        for each in (agent, agent.anew):
            self.assertTrue(verifyObject(IAgent, each))
        endpoints = EndpointFactory(self.reactor, ClientTrust(), None, lambda host: False)
        self.assertTrue(verifyObject(IAgentEndpointFactory, endpoints))
        self.assertIn("hub.example", repr(endpoints.endpointForURI(URI.fromBytes(b"http://hub.example/"))))
