"""
Name resolution that yields only addresses we may meet.

The check sits under the endpoint, so that the address that was judged is the
one that is connected to.  Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.logger import Logger
from zope.interface import implementer

_log = Logger()

FAMILIES: dict[str, Sequence[type[IAddress]] | None] = {
    "4": (IPv4Address,),
    "6": (IPv6Address,),
    "any": None,
}


@implementer(IResolutionReceiver)
class _Sieve:
    """Passes on the addresses that ``allowed`` lets through."""

    def __init__(self, receiver: IResolutionReceiver, host: str, allowed: Callable[[str], bool]) -> None:
        self._receiver = receiver
        self._host = host
        self._allowed = allowed
        self._refused: list[str] = []
        self._passed = False

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        assert isinstance(address, IPv4Address | IPv6Address)
        if self._allowed(address.host):
            self._passed = True
            self._receiver.addressResolved(address)
        else:
            self._refused.append(address.host)

    def resolutionComplete(self) -> None:
        if self._refused and not self._passed:
            _log.warn(
                "{host} resolves to {addresses}, which is not public; if that is right, "
                "name the host in full in the upstream's settings or list the network in network.allow",
                host=self._host,
                addresses=", ".join(self._refused),
            )
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class CheckedResolver:
    """
    ``resolver``, less the addresses that ``allowed(address, host)`` refuses.

    ``family`` is "4", "6" or "any".
    """

    def __init__(
        self, resolver: IHostnameResolver, allowed: Callable[[str, str], bool], family: str = "any"
    ) -> None:
        self._resolver = resolver
        self._allowed = allowed
        self._family = FAMILIES[family]

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        sieve = _Sieve(resolutionReceiver, hostName, lambda address: self._allowed(address, hostName))
        return self._resolver.resolveHostName(
            sieve, hostName, portNumber, self._family or addressTypes, transportSemantics
        )


@implementer(IReactorTCP, IReactorTime, IReactorPluggableNameResolver)
class CheckedReactor:
    """A reactor as `HostnameEndpoint` needs it, resolving by `CheckedResolver`."""

    def __init__(self, reactor: Any, nameResolver: IHostnameResolver) -> None:
        self._reactor = reactor
        self.nameResolver = nameResolver
        self.connectTCP = reactor.connectTCP
        self.listenTCP = reactor.listenTCP

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Put ``resolver`` in the place of the present one, which is returned."""
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def seconds(self) -> float:
        return float(self._reactor.seconds())

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> IDelayedCall:
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        calls: Sequence[IDelayedCall] = self._reactor.getDelayedCalls()
        return calls
