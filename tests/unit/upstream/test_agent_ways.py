"""
Tests of the agents in `docxy.upstream.agent`: connections that are kept, new ones, and bytes as they are.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from docxy.interfaces import UpstreamBroken
from docxy.upstream.agent import IdentityAgent, address_of
from docxy.upstream.body import ResponseBody
from tests.unit.upstream.rig import CDN, HUB, UpstreamTestCase, reply, timers


class UpstreamAgentTests(UpstreamTestCase):
    """Connections that are kept, and new ones."""

    def ask(self, agent: IAgent) -> str:
        """Ask, and tell who answered."""
        response = self.done(agent.request(b"GET", HUB.encode() + b"/"))
        self.done(ResponseBody(response, self.clock).read(100))
        return address_of(response)

    def test_kept_and_new(self) -> None:
        """Kept connections serve again; new ones serve once, and say so."""
        self.net.serve(HUB, reply(200, b"ok"))
        for agent, dialled in ((self.agent, 1), (self.agent, 1), (self.agent.anew, 2), (self.agent.anew, 3)):
            self.ask(agent)
            self.assertEqual(len(self.net.dialled), dialled)
        self.assertEqual(
            [seen.header("Connection") for seen in self.net.seen], [None, None, "close", "close"]
        )
        self.assertEqual(len(self.net.open_connections()), 1)

    def test_doubtful_connections(self) -> None:
        """A kept connection to an address that has failed since is closed; younger ones are kept."""
        self.net.serve(HUB, reply(200, b"ok"))
        self.net.place(HUB, "192.0.2.7", "192.0.2.8")
        self.assertEqual([self.ask(self.agent) for _ in range(2)], ["192.0.2.7"] * 2)
        self.clock.advance(1)
        self.agent.failures.note("192.0.2.7")
        self.assertEqual([self.ask(self.agent) for _ in range(2)], ["192.0.2.8"] * 2)
        self.assertEqual(len(self.net.open_connections()), 1)
        self.agent.failures.note("192.0.2.8")
        self.clock.advance(1)
        self.assertEqual([self.ask(self.agent) for _ in range(3)], ["192.0.2.7"] * 3)
        self.assertEqual(len(self.net.dialled), 3)
        self.assertEqual(list(timers(self.clock)).count("HTTPConnectionPool._removeConnection"), 1)

    def test_retired(self) -> None:
        """A retired agent keeps no connection: idle ones are closed, one in use after its answer."""
        self.net.serve(HUB, reply(200, b"ok"))
        for asked in [self.agent.request(b"GET", HUB.encode() + b"/") for _ in range(2)]:
            self.done(ResponseBody(self.done(asked), self.clock).read(100))
        self.assertEqual(len(self.net.open_connections()), 2)
        in_use = self.agent.request(b"GET", HUB.encode() + b"/")
        self.agent.retire()
        self.clock.advance(0)
        self.assertEqual(len(self.net.open_connections()), 1)
        self.assertEqual(self.done(in_use).code, 200)
        self.clock.advance(0)
        self.assertEqual(self.net.open_connections(), [])
        self.assertNotEqual(self.ask(self.agent), "")
        self.clock.advance(0)
        self.assertEqual(self.net.open_connections(), [])


class IdentityAgentTests(UpstreamTestCase):
    def ask(self, headers: Headers | None) -> Deferred[IResponse]:
        """Ask by an agent that takes bytes as they are."""
        return IdentityAgent(self.agent, self.clock).request(b"GET", HUB.encode() + b"/t", headers)

    def test_interface(self) -> None:
        """It is an agent."""
        self.assertTrue(verifyObject(IAgent, IdentityAgent(self.agent, self.clock)))

    def test_asks_for_identity(self) -> None:
        """Whatever the request says of codings, only identity is asked for; the caller's headers stay."""
        self.net.serve(HUB, reply(200, b"plain"))
        given = Headers({b"Accept-Encoding": [b"gzip", b"br"], b"X": [b"y"]})
        for headers in (given, None):
            self.done(self.ask(headers))
        self.assertEqual([seen.header("Accept-Encoding") for seen in self.net.seen], ["identity"] * 2)
        self.assertEqual(
            (self.net.seen[0].header("X"), given.getRawHeaders(b"Accept-Encoding")), ("y", [b"gzip", b"br"])
        )

    def test_refuses_codings(self) -> None:
        """A compressed answer is none; one that says identity is."""
        for coding in ("gzip", "identity, gzip", "br"):
            self.net.serve(HUB, reply(200, b"\x1f\x8b", content_encoding=coding))
            self.failed(self.ask(None), UpstreamBroken)
        self.net.serve(CDN, reply(200, b"x", content_encoding="Identity"))
        answer = IdentityAgent(self.agent, self.clock).request(b"GET", CDN.encode() + b"/")
        self.assertEqual(self.done(answer).code, 200)
