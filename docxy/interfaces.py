"""
The seams between decisions and the world.

Owns what the mirror asks of the outside and the values that cross.  Knows
nothing of how anything is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime
from zope.interface import Attribute, Interface

from docxy.oci.scopes import Scope
from docxy.settings.values import UpstreamSettings

HeaderLines = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Clocks:
    """
    The two times: ``steady`` for intervals, and ``wall`` (seconds since 1970) for dates.
    """

    steady: IReactorTime
    wall: Callable[[], float]


class UpstreamError(Exception):
    """An upstream gave no usable answer; the text says why and holds no secret."""


class UpstreamUnreachable(UpstreamError):
    """No connection: name, address, network or TLS."""


class UpstreamTimedOut(UpstreamError):
    """Nothing came within the time allowed."""


class UpstreamBroken(UpstreamError):
    """What came was not an answer: cut off, too large, or not allowed to be followed."""


class UpstreamTooLarge(UpstreamBroken):
    """What came is larger than is read."""


class UpstreamRefused(UpstreamBroken):
    """It said no, and would say so again."""


class IBody(Interface):
    """The body of one upstream answer, paused until somebody takes it; take it once."""

    def deliver(protocol: IProtocol) -> None:
        """
        Hand the bytes to ``protocol`` as they come.

        Its transport is the upstream's push producer; its ``connectionLost``
        tells by `ResponseDone` whether the body was whole.
        """

    def drop() -> None:
        """Let it go: a short rest is read so that the connection can serve again."""

    def read(limit: int) -> Deferred[bytes]:
        """
        All of it, of at most ``limit`` bytes; cancelling ends its connection.

        Fails with `UpstreamTooLarge` when it is larger, with `UpstreamBroken`
        when it breaks off, and with `UpstreamTimedOut` when it does not come to its end.
        """


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One upstream answer whose body has not been taken.

    ``length`` is the announced size of the body in bytes (of a HEAD: of what
    GET would send); ``host`` is who sent it, from ``address`` where that is
    known; ``redirected`` tells that it came from another origin than the
    registry's.
    """

    status: int
    headers: HeaderLines
    length: int | None
    host: str
    redirected: bool
    body: IBody
    address: str = ""

    def header(self, name: bytes) -> str | None:
        """The first value of header ``name``, if it was sent."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return None

    def lines(self, name: bytes) -> list[str]:
        """Every value of header ``name``, in order."""
        wanted = name.lower()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]


@dataclass(frozen=True, slots=True)
class Span:
    """
    The bytes of a content that a body is to deliver: from ``first`` up to, without, ``end``.

    ``size`` is the whole content's, in bytes.  None: not known yet.
    """

    first: int
    end: int | None
    size: int | None


@dataclass(slots=True)
class Course:
    """
    How a body came, told as it goes: the hosts that sent it, and its mendings by cause.

    ``mending`` are those of its parts that wait to be asked for again;
    ``broken`` is the cause of the break that is not mended.
    """

    hosts: list[str] = field(default_factory=list)
    resumes: Counter[str] = field(default_factory=Counter)
    mending: set[object] = field(default_factory=set)
    broken: str = ""

    def comes(self, part: object, host: str) -> None:
        """A ``part`` comes from ``host``, for the first time or again."""
        self.mending.discard(part)
        if host not in self.hosts:
            self.hosts.append(host)

    def mends(self, part: object, cause: str) -> None:
        """A ``part`` broke and will be asked for again."""
        self.mending.add(part)
        self.resumes[cause] += 1


Ask = Callable[[int, int | None, frozenset[str]], Deferred[Reply]]
"""Ask upstream once more, for the bytes of a `Span`'s first and end, and with hosts to avoid."""


class Unbroken(Protocol):
    """
    Makes the body of the reply's span that mends itself by ``ask``; without, one that is only watched.

    By ``ahead`` parts of it are fetched before their turn, where ``upstream`` says so.
    """

    def __call__(
        self,
        reply: Reply,
        span: Span,
        course: Course,
        ask: Ask | None,
        upstream: UpstreamSettings,
        ahead: Ask | None = None,
        /,
    ) -> IBody: ...


class IMetrics(Interface):
    """
    Who counts.

    An ``upstream`` is a name of the settings, or empty for none; a ``kind``
    is the value of a `docxy.oci.routes.Kind`, or "other"; the other words are
    of closed lists.
    """

    def expected(upstream: str) -> None:
        """The settings name it: its counts begin at 0 now, since a first 1 is no increase to who watches."""

    def answered(upstream: str, kind: str, status: int) -> None:
        """A request was served; ``status`` is 0 where nothing of an answer was written."""

    def sent(upstream: str, source: str, size: int) -> None:
        """``size`` bytes of bodies went to clients, from ``source`` as in `docxy.answers.Answer`."""

    def asked(upstream: str, kind: str, seconds: float) -> None:
        """An upstream answered, its header came ``seconds`` after asking: tries and redirects included."""

    def resumed(upstream: str, cause: str, times: int) -> None:
        """A body broke by ``cause``, and was asked for again, so many ``times``."""

    def broke(upstream: str, cause: str) -> None:
        """A body ended short at its client."""

    def refused(cause: str) -> None:
        """A rule of the mirror's own refused a request, `docxy.oci.errors.RegistryError.cause`."""

    def used(key: str, requests: int, size: int) -> None:
        """So many requests more, and bytes to their clients, showed the `[[access.key]]` of this name."""


class IUpstream(Interface):
    """One registry to ask."""

    def fetch(
        method: bytes, target: bytes, headers: HeaderLines, avoid: frozenset[str] = frozenset()
    ) -> Deferred[Reply]:
        """
        Ask for ``target`` (path and query) and follow redirects to the answer.

        Tries again where a try fails before its headers; hosts in ``avoid``
        come last among those on offer.  Fails with `UpstreamError`.
        Credentials in ``headers`` reach the registry's own origin and no other.
        """

    def again(target: bytes, headers: HeaderLines, avoid: frozenset[str]) -> Deferred[Reply]:
        """
        One more GET of ``target`` after its body broke: the registry is asked afresh.

        A host among those to ``avoid`` has it done on new connections; of an
        address only its own are given up.  A single try; the caller counts.  Fails with `UpstreamError`.
        """

    def ping(headers: HeaderLines) -> Deferred[Reply]:
        """``GET /v2/`` within the time that clients allow a ping."""

    def search(query: bytes) -> Deferred[Reply]:
        """The registry's v1 search; fails with `UpstreamError` where it has none."""


@dataclass(frozen=True, slots=True)
class Authority:
    """
    Who gives out tokens for an upstream.

    ``kind`` is "bearer" (ask ``realm``), "basic" (no token server), "none"
    (no credentials needed) or "unknown" (``problem`` says why it is not known).
    """

    kind: Literal["bearer", "basic", "none", "unknown"]
    realm: str | None = None
    service: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """
    A client's token request, re-spelt for the upstream.

    ``params`` are its other parameters in order, without scope and service;
    ``authorization`` is its Basic header, ``form`` tells GET from POST.
    """

    scopes: tuple[Scope, ...]
    params: tuple[tuple[str, str], ...] = ()
    service: str | None = None
    authorization: bytes | None = None
    form: bool = False

    def __repr__(self) -> str:
        return f"TokenRequest(scopes={self.scopes!r})"


@dataclass(frozen=True, slots=True)
class TokenReply:
    """A token server's answer, as it will go to the client."""

    status: int
    headers: HeaderLines
    body: bytes

    def __repr__(self) -> str:
        return f"TokenReply(status={self.status})"


class ITokenSource(Interface):
    """Where tokens for one upstream come from."""

    def authority() -> Deferred[Authority]:
        """Who gives out tokens; learnt at first use, never fails."""

    def relay(request: TokenRequest) -> Deferred[TokenReply]:
        """Answer a client's token request; fails with `UpstreamError`."""

    def bearer(scopes: tuple[Scope, ...]) -> Deferred[bytes | None]:
        """
        The Authorization value for docxy's own requests; None where none is needed.

        Fails with `UpstreamError`.
        """

    def forget(authorization: bytes) -> None:
        """The upstream refused this value: never hand it out again."""

    def doubt() -> None:
        """The upstream asked for credentials where `authority` says that it needs none."""

    def credential(authorization: bytes | None) -> str | None:
        """The name of the credential of ours behind a header value; None: the client's own."""

    def foreign(authorization: bytes) -> bool:
        """Whether this token is known to be another upstream's."""

    settings = Attribute("UpstreamSettings")
