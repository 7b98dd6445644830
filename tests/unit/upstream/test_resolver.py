"""
Tests of `docxy.upstream.resolver`: names yield only addresses that may be met, in a promising order.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectBindError, ConnectionRefusedError, DNSLookupError, UserError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from docxy.upstream.failures import FailureMemory
from docxy.upstream.resolver import (
    MAX_REFUSED,
    AddressesRefused,
    CheckedReactor,
    CheckedResolver,
    JudgedEndpoint,
    in_order,
)


@implementer(IHostResolution)
class Resolution:
    """A resolution that is over."""

    name = "hub.example"

    def cancel(self) -> None:
        """Too late."""


@implementer(IHostnameResolver)
class FixedResolver:
    """Resolves every name to the same addresses, and notes what it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[object, ...]] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append((hostName, portNumber, addressTypes, transportSemantics))
        resolutionReceiver.resolutionBegan(Resolution())
        for address in self.addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
        resolutionReceiver.resolutionComplete()
        return Resolution()


@implementer(IResolutionReceiver)
class Receiver:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.told.append("began")

    def addressResolved(self, address: IAddress) -> None:
        assert not isinstance(address, HostnameAddress)
        self.told.append(getattr(address, "host", "?"))

    def resolutionComplete(self) -> None:
        self.told.append("complete")


@implementer(IStreamClientEndpoint)
class StubEndpoint:
    """Whose every connection ends in one way."""

    def __init__(self, outcome: Failure | IProtocol) -> None:
        self._outcome = outcome

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return fail(self._outcome) if isinstance(self._outcome, Failure) else succeed(self._outcome)


def public(address: str, host: str) -> bool:
    """The judgement of these tests."""
    return address.startswith(("8.", "2a00:"))


class CheckedResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.failures = FailureMemory(Clock())
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)  # type: ignore[arg-type]

    def resolver(self, *addresses: str) -> tuple[CheckedResolver, FixedResolver]:
        """A resolver, and the one below it."""
        inner = FixedResolver(*addresses)
        return CheckedResolver(inner, public, self.failures), inner

    def told(self, *addresses: str) -> list[str]:
        """What becomes of a name that resolves to these."""
        receiver = Receiver()
        resolver = CheckedResolver(FixedResolver(*addresses), public, self.failures)
        resolver.resolveHostName(receiver, "hub.example", 443)
        return receiver.told

    def test_interface(self) -> None:
        """It is a resolver as Twisted knows it."""
        self.assertTrue(
            verifyObject(IHostnameResolver, CheckedResolver(FixedResolver(), public, self.failures))
        )

    def test_sieve(self) -> None:
        """What may not be met is left out, silently where others remain."""
        self.assertEqual(
            self.told("8.8.8.8", "127.0.0.1", "2a00::1", "fd00::1"),
            ["began", "8.8.8.8", "2a00::1", "complete"],
        )
        self.assertEqual(len(self.events), 0)

    def test_nothing_left(self) -> None:
        """Where nothing remains, the log says which addresses were refused, and the remedy."""
        self.assertEqual(self.told("169.254.169.254", "::1"), ["began", "complete"])
        (event,) = self.events
        self.assertEqual((event["host"], event["addresses"]), ("hub.example", "169.254.169.254, ::1"))
        self.assertIn("network.allow", event["log_format"])

    def test_refuses(self) -> None:
        """What a name led to last decides whether it is refused; a name without address is not."""
        resolver, inner = self.resolver()
        for addresses, refused in (
            (("127.0.0.1",), True),
            (("127.0.0.1", "8.8.8.8"), False),
            (("::1", "fd00::1"), True),
            ((), False),
        ):
            inner.addresses = addresses
            resolver.resolveHostName(Receiver(), "hub.example", 443)
            self.assertIs(resolver.refuses("hub.example"), refused, addresses)
        self.assertFalse(resolver.refuses("other.example"))

    def test_refused_are_few(self) -> None:
        """Of the names that are refused only the last are kept: a peer may make up any number."""
        resolver, _ = self.resolver("127.0.0.1")
        for number in range(MAX_REFUSED + 1):
            resolver.resolveHostName(Receiver(), f"{number}.example", 443)
        self.assertEqual([resolver.refuses(f"{number}.example") for number in (0, 1)], [False, True])

    def test_no_address(self) -> None:
        """A name without any address is no reason for a warning."""
        self.assertEqual((self.told(), len(self.events)), (["began", "complete"], 0))

    def test_family(self) -> None:
        """A family that is set asks for its addresses only; otherwise the caller's wish stands."""
        wanted = {"4": (IPv4Address,), "6": (IPv6Address,), "any": None}
        for family, types in wanted.items():
            inner = FixedResolver()
            CheckedResolver(inner, public, self.failures, family).resolveHostName(
                Receiver(), "hub.example", 443
            )
            self.assertEqual(inner.asked, [("hub.example", 443, types, "TCP")])
        inner = FixedResolver()
        CheckedResolver(inner, public, self.failures).resolveHostName(
            Receiver(), "h", 1, (IPv6Address,), "UDP"
        )
        self.assertEqual(inner.asked, [("h", 1, (IPv6Address,), "UDP")])

    def test_failed_last(self) -> None:
        """An address that failed lately comes after all others."""
        self.failures.note("8.8.8.1")
        self.assertEqual(
            self.told("8.8.8.1", "127.0.0.1", "8.8.8.2"), ["began", "8.8.8.2", "8.8.8.1", "complete"]
        )


class InOrderTests(SynchronousTestCase):
    def order(self, addresses: str, *failed: str) -> str:
        """The order of addresses after these failed, one a second."""
        clock = Clock()
        failures = FailureMemory(clock)
        for name in failed:
            failures.note(name)
            clock.advance(1)
        kinds = {True: IPv6Address, False: IPv4Address}
        found = [kinds[":" in each]("TCP", each, 443) for each in addresses.split()]
        return " ".join(address.host for address in in_order(found, failures))

    def test_orders(self) -> None:
        """Families take turns, the less troubled one first; failed ones come last, the latest at the end."""
        for addresses, failed, expected in (
            ("", (), ""),
            ("4.1", (), "4.1"),
            ("4.1 4.2 4.3", (), "4.1 4.2 4.3"),
            (":1 :2 4.1 4.2 4.3", (), ":1 4.1 :2 4.2 4.3"),
            ("4.1 :1 :2", (), "4.1 :1 :2"),
            (":1 :2 :3 4.1 4.2", (":1",), "4.1 :2 4.2 :3 :1"),
            (":1 :2 4.1 4.2", (":1", "4.1"), ":2 4.2 :1 4.1"),
            (":1 :2 4.1", (":2", ":1", "4.1"), ":2 :1 4.1"),
            ("4.1 4.2", ("4.2", "9.9"), "4.1 4.2"),
        ):
            self.assertEqual(self.order(addresses, *failed), expected, (addresses, failed))


class JudgedEndpointTests(SynchronousTestCase):
    def connect(self, outcome: Failure | IProtocol, is_refused: bool) -> Deferred[IProtocol]:
        """Connect by an endpoint that ends so."""
        below = StubEndpoint(outcome)
        return JudgedEndpoint(below, lambda: is_refused).connect(Factory.forProtocol(Protocol))

    def test_interface(self) -> None:
        """It is an endpoint as Twisted knows it."""
        endpoint = JudgedEndpoint(StubEndpoint(Protocol()), lambda: False)
        self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))

    def test_refused(self) -> None:
        """A name all whose addresses are refused fails with that; every other outcome stands."""
        lost = Failure(DNSLookupError("no results"))
        self.failureResultOf(self.connect(lost, True), AddressesRefused)
        self.failureResultOf(self.connect(lost, False), DNSLookupError)
        self.failureResultOf(self.connect(Failure(ConnectionRefusedError()), True), ConnectionRefusedError)
        protocol = Protocol()
        self.assertIs(self.successResultOf(self.connect(protocol, True)), protocol)


class CheckedReactorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.failures = FailureMemory(self.reactor)
        self.resolver = CheckedResolver(FixedResolver(), public, self.failures)
        self.checked = CheckedReactor(self.reactor, self.resolver, self.failures)

    def test_reactor(self) -> None:
        """It has what an endpoint needs, with the real reactor's clock and the checked names."""
        for interface in (IReactorTCP, IReactorTime, IReactorPluggableNameResolver):
            self.assertTrue(verifyObject(interface, self.checked))
        called: list[str] = []
        call = self.checked.callLater(1.5, called.append, "now")
        self.assertEqual(list(self.checked.getDelayedCalls()), [call])
        self.reactor.advance(1.5)
        self.assertEqual((called, self.checked.seconds()), (["now"], 1.5))

    def test_other_resolver(self) -> None:
        """A resolver that is put in the place of the present one gives that back."""
        second = FixedResolver()
        self.assertIs(self.checked.installNameResolver(second), self.resolver)
        self.assertIs(self.checked.nameResolver, second)

    def test_who_refuses(self) -> None:
        """An address that cannot be reached is noted; one that we gave up or could not leave for is not."""
        for address, reason in (
            ("8.0.0.1", ConnectionRefusedError()),
            ("8.0.0.2", ConnectTimeout()),
            ("8.0.0.3", UserError()),
            ("8.0.0.4", ConnectBindError(99, "no such address")),
        ):
            endpoint = TCP4ClientEndpoint(self.checked, address, 443, 6)
            waiting = endpoint.connect(Factory.forProtocol(Protocol))
            host, port, factory, limit, own = self.reactor.tcpClients[-1]
            self.assertEqual((host, port, limit, own), (address, 443, 6, None))
            factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(reason))
            self.failureResultOf(waiting, type(reason))
        self.assertEqual([n for n in range(5) if self.failures.bad(f"8.0.0.{n}")], [1, 2])

    def test_who_connects(self) -> None:
        """A connection that is made is the endpoint's, and its address in good standing."""
        waiting = TCP4ClientEndpoint(self.checked, "8.0.0.1", 443).connect(Factory.forProtocol(Protocol))
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())
        self.assertIsInstance(self.successResultOf(waiting), Protocol)
        self.assertFalse(self.failures.bad("8.0.0.1"))
