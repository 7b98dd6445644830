"""
One upstream: ask it, follow its redirects, within the time that clients allow.

Owns the order of urls, hops and time limits.  Every hop is judged by
`docxy.policy.redirects`; credentials are dropped for good at the first change
of origin.  Knows nothing of clients.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer

from docxy.interfaces import (
    HeaderLines,
    IUpstream,
    Reply,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from docxy.oci.headers import after_origin_change
from docxy.policy.redirects import RedirectRefused, next_hop
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.agent import HeadTooLarge
from docxy.upstream.body import ResponseBody

_log = Logger()
_T = TypeVar("_T")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_LENGTH = 1 << 63  # bytes; no announced size is as large
_LINK_FAILURES = (ResponseFailed, ResponseNeverReceived, RequestTransmissionFailed, ConnectionClosed)


def within(seconds: float, clock: IReactorTime, work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    """``work``, or `UpstreamTimedOut` once ``seconds`` are over."""

    def late(_: object, allowed: float) -> Failure:
        return Failure(UpstreamTimedOut(f"no answer within {allowed:g} s"))

    return Deferred.fromCoroutine(work).addTimeout(seconds, clock, late)


@implementer(IUpstream)
class Upstream:
    """The registry that ``settings`` describe, asked through ``agent``."""

    def __init__(
        self, settings: UpstreamSettings, limits: LimitSettings, agent: IAgent, clock: IReactorTime
    ) -> None:
        self.settings = settings
        self._limits = limits
        self._agent = agent
        self._clock = clock

    def fetch(self, method: bytes, target: bytes, headers: HeaderLines) -> Deferred[Reply]:
        return within(self._limits.first_header, self._clock, self._fetch(method, target, headers))

    def ping(self, headers: HeaderLines) -> Deferred[Reply]:
        return within(self._limits.answer, self._clock, self._any_url(b"GET", b"/v2/", headers))

    def search(self, query: bytes) -> Deferred[Reply]:
        return within(self._limits.answer, self._clock, self._search(query))

    async def _fetch(self, method: bytes, target: bytes, headers: HeaderLines) -> Reply:
        reply = await self._any_url(method, target, headers)
        if reply.redirected and reply.status in (401, 403):
            # The CDN's signature ran out between the registry's answer and our use of it.
            reply.body.drop()
            reply = await self._any_url(method, target, headers)
        return reply

    async def _search(self, query: bytes) -> Reply:
        if self.settings.search_url is None:
            raise UpstreamBroken(f"{self.settings.name} has no search")
        url = f"{self.settings.search_url}/v1/search?{query.decode('latin-1')}"
        return await self._follow(b"GET", url, ((b"Accept-Encoding", b"identity"),))

    async def _any_url(self, method: bytes, target: bytes, headers: HeaderLines) -> Reply:
        """The first answer of the upstream's urls that is no failure of its server."""
        *earlier, last = self.settings.urls
        for url in earlier:
            try:
                reply = await self._follow(method, url + target.decode("ascii"), headers)
            except UpstreamError as error:
                _log.warn("{url}: {error}; the next url is tried", url=url, error=str(error))
                continue
            if reply.status < 500:
                return reply
            _log.warn("{url}: status {status}; the next url is tried", url=url, status=reply.status)
            reply.body.drop()
        return await self._follow(method, last + target.decode("ascii"), headers)

    async def _follow(self, method: bytes, url: str, headers: HeaderLines) -> Reply:
        redirected = False
        hops = 0
        while True:
            response = await self._send(method, url, headers)
            reply = _reply(method, response, redirected, ResponseBody(response, self._clock))
            if reply.status not in REDIRECTS:
                return _judged(reply)
            reply.body.drop()
            try:
                hop = next_hop(url, reply.header(b"location"), self.settings, hops)
            except RedirectRefused as error:
                raise UpstreamBroken(str(error)) from None
            hops += 1
            if not hop.same_origin:
                redirected = True
                headers = after_origin_change(headers)
            url = hop.url

    async def _send(self, method: bytes, url: str, headers: HeaderLines) -> IResponse:
        asked = Headers()
        for name, value in headers:
            asked.addRawHeader(name, value)
        seconds = self._limits.attempt
        try:
            # In here: the agent raises at once for names that IDNA does not know.
            sent = self._agent.request(method, url.encode("ascii"), asked)
            return await cancellable(sent, self._clock).addTimeout(seconds, self._clock)
        except CancelledError:
            raise
        except Exception as error:
            raise named(error, seconds) from None


def cancellable(sent: Deferred[IResponse], clock: IReactorTime) -> Deferred[IResponse]:
    """
    ``sent``, but its cancellation is always a `CancelledError`.

    The agent tells of it in several ways, some of which look like a failure
    of the peer: then a caller that gave up would be served by the next url.
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
    reasons = getattr(error, "reasons", None) or [Failure(error)]
    cause = reasons[0].value
    if isinstance(cause, HeadTooLarge):
        return UpstreamBroken(str(cause))
    if type(cause).__module__.startswith(("OpenSSL", "service_identity")):
        return UpstreamUnreachable(f"TLS failed: {_tls_cause(cause)}")
    return UpstreamBroken("the connection ended before an answer")


def _tls_cause(cause: BaseException) -> str:
    if type(cause).__module__.startswith("service_identity"):
        return "the certificate is for another name"
    details = cause.args[0] if cause.args and isinstance(cause.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in details) or type(cause).__name__


def _judged(reply: Reply) -> Reply:
    """A 3xx that is no redirect would be fatal to containerd: it is a broken answer, as is nonsense."""
    if reply.status != 304 and not (200 <= reply.status < 300 or 400 <= reply.status < 600):
        reply.body.drop()
        raise UpstreamBroken(f"status {reply.status} is no answer to a pull")
    if reply.length is not None and reply.length >= MAX_LENGTH:
        reply.body.drop()
        raise UpstreamBroken("its answer announces an impossible size")
    return reply


def _reply(method: bytes, response: IResponse, redirected: bool, body: ResponseBody) -> Reply:
    headers = tuple((name, value) for name, values in response.headers.getAllRawHeaders() for value in values)
    request = response.request
    host = "" if request is None else request.absoluteURI.split(b"/")[2].decode("ascii")
    return Reply(
        status=int(response.code),
        headers=headers,
        length=_length(method, response),
        host=host,
        redirected=redirected,
        body=body,
    )


def _length(method: bytes, response: IResponse) -> int | None:
    """Content-Length: Twisted keeps a GET's apart, and a HEAD's in its headers."""
    if method != b"HEAD":
        return None if response.length is UNKNOWN_LENGTH else int(response.length)
    values = response.headers.getRawHeaders(b"content-length", [])
    sizes = {value for value in values if value.isdigit() and len(value) < 20}
    return int(sizes.pop()) if len(sizes) == 1 else None
