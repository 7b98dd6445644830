"""
One try of one request: from a registry's url through its redirects to an answer.

Owns the hops and the time of each.  Every hop is judged by
`docxy.policy.redirects`; credentials are dropped for good at the first change
of origin.  Knows nothing of other tries and of clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse

from docxy.interfaces import (
    HeaderLines,
    Reply,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from docxy.oci.headers import after_origin_change
from docxy.policy.redirects import Hop, RedirectRefused, next_hop
from docxy.settings.values import UpstreamSettings
from docxy.upstream.agent import HeadTooLarge, address_of
from docxy.upstream.body import ResponseBody
from docxy.upstream.resolver import AddressesRefused

_log = Logger()

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_LENGTH = 1 << 63  # bytes; no announced size is as large
REASKS = 2  # times that the registry is asked for another host than one to be avoided
_AUTHORITY_END = re.compile("[/?#]")
_LINK_FAILURES = (ResponseFailed, ResponseNeverReceived, RequestTransmissionFailed, ConnectionClosed)


class _Shunned(Exception):
    """The registry sent us to a host that is to be avoided."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a registry, whichever of its urls is asked."""

    method: bytes
    target: bytes
    headers: HeaderLines


class Attempt:
    """
    One try through ``agent``, with ``seconds`` for the header of each hop.

    Once it has failed, ``url`` is where, ``address`` the IP address that failed
    (empty where it is not known), ``redirected`` tells that it was not the
    registry's own origin, ``is_final`` that another try would fail in the same
    way, and ``is_down`` that nobody listened, which may pass.
    """

    def __init__(
        self, settings: UpstreamSettings, agent: IAgent, clock: IReactorTime, seconds: float
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._clock = clock
        self._seconds = seconds
        self.url = ""
        self.address = ""
        self.redirected = False
        self.is_final = False
        self.is_down = False

    @property
    def host(self) -> str:
        """The host that is asked at present, as in `Reply.host`."""
        return host_of(self.url)

    async def follow(self, question: Question, url: str, shun: Callable[[str], bool]) -> Reply:
        """
        The answer to ``question`` of the registry at ``url``, or of where it sends us.

        Sent to a host that ``shun`` tells to avoid, it asks the registry for
        another, a few times, and then takes what is given.  Raises `UpstreamError`.
        """
        for _ in range(REASKS):
            try:
                return await self._walk(question, url, shun)
            except _Shunned:
                continue
        return await self._walk(question, url, lambda host: False)

    async def _walk(self, question: Question, url: str, shun: Callable[[str], bool]) -> Reply:
        headers = question.headers
        self.url = url + question.target.decode("latin-1")
        self.redirected = False
        hops = 0
        while True:
            response = await self._send(question.method, headers)
            reply = self._reply(question.method, response)
            if reply.status not in REDIRECTS:
                return self._judged(reply)
            reply.body.drop()
            hop = self._next_hop(reply, hops)
            hops += 1
            if not hop.same_origin:
                if shun(host_of(hop.url)):
                    raise _Shunned
                self.redirected = True
                headers = after_origin_change(headers)
            self.url = hop.url

    async def _send(self, method: bytes, headers: HeaderLines) -> IResponse:
        asked = Headers()
        for name, value in headers:
            asked.addRawHeader(name, value)
        try:
            # In here: the agent raises at once for names that IDNA does not know.
            sent = self._agent.request(method, self.url.encode("ascii"), asked)
            sent.addErrback(self._unanswered)
            return await cancellable(sent, self._clock).addTimeout(self._seconds, self._clock)
        except CancelledError:
            raise
        except Exception as error:
            self.is_final = _is_final(error)
            self.is_down = _is_down(error)
            raise named(error, self._seconds) from None

    def _unanswered(self, failure: Failure) -> Failure:
        # Also after giving up, when nobody else is told any more whom we had waited for.
        self.address = address_of(failure.value)
        return failure

    def _reply(self, method: bytes, response: IResponse) -> Reply:
        return Reply(
            status=int(response.code),
            headers=tuple(
                (name, value) for name, values in response.headers.getAllRawHeaders() for value in values
            ),
            length=_length(method, response),
            host=self.host,
            redirected=self.redirected,
            body=ResponseBody(response, self._clock),
            address=address_of(response),
        )

    def _next_hop(self, reply: Reply, hops: int) -> Hop:
        try:
            return next_hop(self.url, reply.header(b"location"), self._settings, hops)
        except RedirectRefused as error:
            self.is_final = True
            raise UpstreamBroken(str(error)) from None

    def _judged(self, reply: Reply) -> Reply:
        """A 3xx that is no redirect would be fatal to containerd: it is a broken answer, as is nonsense."""
        if reply.status != 304 and not (200 <= reply.status < 300 or 400 <= reply.status < 600):
            raise self._no_answer(reply, f"status {reply.status} is no answer to a pull")
        if reply.length is not None and reply.length >= MAX_LENGTH:
            raise self._no_answer(reply, "its answer announces an impossible size")
        return reply

    def _no_answer(self, reply: Reply, why: str) -> UpstreamBroken:
        reply.body.drop()
        self.is_final = True
        return UpstreamBroken(why)


def host_of(url: str) -> str:
    """Host and port of an absolute URL, as in `Reply.host`: nothing of its query."""
    return _AUTHORITY_END.split(url.partition("://")[2], 1)[0].lower()


def cancellable(sent: Deferred[IResponse], clock: IReactorTime) -> Deferred[IResponse]:
    """
    ``sent``, but its cancellation is always a `CancelledError`.

    The agent tells of it in several ways, some of which look like a failure
    of the peer: then a caller that gave up would be served by the next try.
    """
    given_up = False

    def give_up(_: Deferred[IResponse]) -> None:
        nonlocal given_up
        given_up = True
        sent.cancel()

    def answered(response: IResponse) -> None:
        if given_up:
            ResponseBody(response, clock).drop()
        else:
            result.callback(response)

    def failed(failure: Failure) -> None:
        if not given_up:
            result.errback(failure)

    result: Deferred[IResponse] = Deferred(give_up)
    sent.addCallbacks(answered, failed)
    return result


def named(error: Exception, seconds: float) -> UpstreamError:
    """What Twisted raised for a request that had ``seconds``, in our words."""
    if isinstance(error, TimeoutError):
        return UpstreamTimedOut(f"no header within {seconds:g} s")
    if isinstance(error, ConnectTimeout):
        return UpstreamTimedOut("connecting took too long")
    if isinstance(error, AddressesRefused):
        return UpstreamUnreachable(str(error))
    if isinstance(error, DNSLookupError):
        return UpstreamUnreachable("its name has no usable address")
    if isinstance(error, ConnectError):
        return UpstreamUnreachable(f"cannot connect: {error}")
    if isinstance(error, _LINK_FAILURES):
        return _link_failure(error)
    if isinstance(error, ValueError):
        return UpstreamUnreachable("its URL or host name cannot be used")
    _log.failure("an upstream request failed in a way that is not foreseen", failure=Failure(error))
    return UpstreamBroken(type(error).__name__)


def _link_failure(error: Exception) -> UpstreamError:
    """A connection that was made and then failed: by TLS, or by its peer."""
    cause = _cause(error)
    if isinstance(cause, HeadTooLarge):
        return UpstreamBroken(str(cause))
    if type(cause).__module__.startswith(("OpenSSL", "service_identity")):
        return UpstreamUnreachable(f"TLS failed: {_tls_cause(cause)}")
    return UpstreamBroken("the connection ended before an answer")


def _cause(error: Exception) -> BaseException:
    reasons: list[Failure] = getattr(error, "reasons", None) or [Failure(error)]
    return reasons[0].value or error


def _tls_cause(cause: BaseException) -> str:
    if type(cause).__module__.startswith("service_identity"):
        return "the certificate is for another name"
    details = cause.args[0] if cause.args and isinstance(cause.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in details) or type(cause).__name__


def _is_final(error: Exception) -> bool:
    """What cannot be used or may not be met, and a head without end, are the same on every connection."""
    return isinstance(error, ValueError | AddressesRefused) or isinstance(_cause(error), HeadTooLarge)


def _is_down(error: Exception) -> bool:
    """Whether every address refused at once; to Twisted, that a connection timed out is of the same kind."""
    return isinstance(error, ConnectError) and not isinstance(error, ConnectTimeout)


def _length(method: bytes, response: IResponse) -> int | None:
    """Content-Length: Twisted keeps a GET's apart, and a HEAD's in its headers."""
    if method != b"HEAD":
        return None if response.length is UNKNOWN_LENGTH else int(response.length)
    values = response.headers.getRawHeaders(b"content-length", [])
    sizes = {value for value in values if value.isdigit() and len(value) < 20}
    return int(sizes.pop()) if len(sizes) == 1 else None
