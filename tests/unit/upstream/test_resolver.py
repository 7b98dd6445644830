"""
Tests of `docxy.upstream.resolver`: names yield only addresses that may be met.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from docxy.upstream.resolver import CheckedReactor, CheckedResolver


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


def public(address: str, host: str) -> bool:
    """The judgement of these tests."""
    return address.startswith(("8.", "2a00:"))


class CheckedResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)  # type: ignore[arg-type]

    def told(self, *addresses: str) -> list[str]:
        """What becomes of a name that resolves to these."""
        receiver = Receiver()
        CheckedResolver(FixedResolver(*addresses), public).resolveHostName(receiver, "hub.example", 443)
        return receiver.told

    def test_interface(self) -> None:
        """It is a resolver as Twisted knows it."""
        self.assertTrue(verifyObject(IHostnameResolver, CheckedResolver(FixedResolver(), public)))

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

    def test_no_address(self) -> None:
        """A name without any address is no reason for a warning."""
        self.assertEqual((self.told(), len(self.events)), (["began", "complete"], 0))

    def test_family(self) -> None:
        """A family that is set asks for its addresses only; otherwise the caller's wish stands."""
        wanted = {"4": (IPv4Address,), "6": (IPv6Address,), "any": None}
        for family, types in wanted.items():
            inner = FixedResolver()
            CheckedResolver(inner, public, family).resolveHostName(Receiver(), "hub.example", 443)
            self.assertEqual(inner.asked, [("hub.example", 443, types, "TCP")])
        inner = FixedResolver()
        CheckedResolver(inner, public).resolveHostName(Receiver(), "h", 1, (IPv6Address,), "UDP")
        self.assertEqual(inner.asked, [("h", 1, (IPv6Address,), "UDP")])


class CheckedReactorTests(SynchronousTestCase):
    def test_reactor(self) -> None:
        """It has what an endpoint needs, with the real reactor's clock and the checked names."""
        reactor = MemoryReactorClock()
        resolver = CheckedResolver(FixedResolver(), public)
        checked = CheckedReactor(reactor, resolver)
        for interface in (IReactorTCP, IReactorTime, IReactorPluggableNameResolver):
            self.assertTrue(verifyObject(interface, checked))
        called: list[str] = []
        call = checked.callLater(1.5, called.append, "now")
        self.assertEqual(list(checked.getDelayedCalls()), [call])
        reactor.advance(1.5)
        self.assertEqual((called, checked.seconds()), (["now"], 1.5))

    def test_other_resolver(self) -> None:
        """A resolver that is put in the place of the present one gives that back."""
        first, second = CheckedResolver(FixedResolver(), public), FixedResolver()
        checked = CheckedReactor(MemoryReactorClock(), first)
        self.assertIs(checked.installNameResolver(second), first)
        self.assertIs(checked.nameResolver, second)
