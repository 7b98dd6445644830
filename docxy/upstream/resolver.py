"""
Name resolution that yields only addresses we may meet, the promising ones first.

The check sits under the endpoint, so that the address that was judged is the
one that is connected to.  Knows nothing of HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError, DNSLookupError, UserError
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IDelayedCall,
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
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from docxy.upstream.failures import FailureMemory

_log = Logger()

FAMILIES: dict[str, Sequence[type[IAddress]] | None] = {
    "4": (IPv4Address,),
    "6": (IPv6Address,),
    "any": None,
}


_IPAddress: TypeAlias = IPv4Address | IPv6Address

MAX_REFUSED = 64  # names kept; with more, a refusal may be told as a name without address


class AddressesRefused(Exception):
    """A host has addresses, and none that may be met."""

    def __init__(self) -> None:
        super().__init__("none of its addresses is public")


def in_order(addresses: Sequence[_IPAddress], failures: FailureMemory) -> list[_IPAddress]:
    """
    Both families in turn (RFC 8305 §4), then those that failed lately, the latest last.

    The family that failed less comes first: what broke for one address of a
    family often breaks for all of them.
    """
    good = [address for address in addresses if not failures.bad(address.host)]
    bad = [address for address in addresses if failures.bad(address.host)]
    families = dict.fromkeys(type(address) for address in addresses)
    ranked = sorted(families, key=lambda family: sum(type(address) is family for address in bad))
    columns = [[address for address in good if type(address) is family] for family in ranked]
    rows = zip_longest(*columns)
    return [
        *(address for row in rows for address in row if address is not None),
        *sorted(bad, key=lambda address: failures.rank(address.host)),
    ]


@implementer(IResolutionReceiver)
class _Sieve:
    """
    Passes on the addresses that ``allowed`` lets through, once all are there, `in_order`.

    ``judged`` is told before whether there were addresses, and all of them were refused.
    """

    def __init__(
        self,
        receiver: IResolutionReceiver,
        host: str,
        allowed: Callable[[str], bool],
        failures: FailureMemory,
        judged: Callable[[bool], None],
    ) -> None:
        self._receiver = receiver
        self._host = host
        self._allowed = allowed
        self._failures = failures
        self._judged = judged
        self._refused: list[str] = []
        self._passed: list[_IPAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        assert isinstance(address, IPv4Address | IPv6Address)
        if self._allowed(address.host):
            self._passed.append(address)
        else:
            self._refused.append(address.host)

    def resolutionComplete(self) -> None:
        is_refused = bool(self._refused) and not self._passed
        self._judged(is_refused)
        if is_refused:
            _log.warn(
                "{host} resolves to {addresses}, which is not public; if that is right, "
                "name the host in full in the upstream's settings or list the network in network.allow",
                host=self._host,
                addresses=", ".join(self._refused),
            )
        for address in in_order(self._passed, self._failures):
            self._receiver.addressResolved(address)
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class CheckedResolver:
    """
    ``resolver``, less the addresses that ``allowed(address, host)`` refuses, the failed ones last.

    ``family`` is "4", "6" or "any".
    """

    def __init__(
        self,
        resolver: IHostnameResolver,
        allowed: Callable[[str, str], bool],
        failures: FailureMemory,
        family: str = "any",
    ) -> None:
        self._resolver = resolver
        self._allowed = allowed
        self._failures = failures
        self._family = FAMILIES[family]
        self._refused: OrderedDict[str, None] = OrderedDict()

    def refuses(self, host: str) -> bool:
        """Whether ``host`` had addresses when it was looked up last, and none that is allowed."""
        return host in self._refused

    def _judged(self, host: str, is_refused: bool) -> None:
        self._refused.pop(host, None)
        if is_refused:
            self._refused[host] = None
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        sieve = _Sieve(
            resolutionReceiver,
            hostName,
            lambda address: self._allowed(address, hostName),
            self._failures,
            partial(self._judged, hostName),
        )
        return self._resolver.resolveHostName(
            sieve, hostName, portNumber, self._family or addressTypes, transportSemantics
        )


@implementer(IStreamClientEndpoint)
class JudgedEndpoint:
    """``below``, which fails with `AddressesRefused` where ``refused`` tells that no address is left."""

    def __init__(self, below: IStreamClientEndpoint, refused: Callable[[], bool]) -> None:
        self._below = below
        self._refused = refused

    def __repr__(self) -> str:
        return f"JudgedEndpoint({self._below!r})"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, as ``below`` does."""
        connecting: Deferred[IProtocol] = self._below.connect(protocolFactory)
        return connecting.addErrback(self._explained)

    def _explained(self, failure: Failure) -> Failure:
        return Failure(AddressesRefused()) if failure.check(DNSLookupError) and self._refused() else failure


class _Watched:
    """A client factory whose failure to connect is noted."""

    def __init__(self, factory: ClientFactory, address: str, failures: FailureMemory) -> None:
        self._factory = factory
        self._address = address
        self._failures = failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        # These are our own doing: another address was faster, nobody waits, or our own address is wrong.
        # By their very types: to Twisted, that a connection timed out is a kind of UserError.
        if reason.type not in (UserError, ConnectBindError):
            self._failures.note(self._address)
        self._factory.clientConnectionFailed(connector, reason)


@implementer(IReactorTCP, IReactorTime, IReactorPluggableNameResolver)
class CheckedReactor:
    """A reactor as `HostnameEndpoint` needs it: resolves by a `CheckedResolver`, notes who refuses."""

    def __init__(self, reactor: Any, nameResolver: IHostnameResolver, failures: FailureMemory) -> None:
        self._reactor = reactor
        self._failures = failures
        self.nameResolver = nameResolver
        self.listenTCP = reactor.listenTCP

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,  # noqa: N803 Twisted calls it so
    ) -> IConnector:
        watched = _Watched(factory, host, self._failures)
        connector: IConnector = self._reactor.connectTCP(host, port, watched, timeout, bindAddress)
        return connector

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
