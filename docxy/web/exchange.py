"""
One request and its answer: started once, answered once, logged once.

Owns the writing of answers and refusals and the access log's event.  The one
place where a coroutine serves a request: a client that leaves cancels it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from docxy.answers import Answer
from docxy.interfaces import Course, HeaderLines
from docxy.log import ACCESS
from docxy.oci.errors import UNAVAILABLE, UNKNOWN, RegistryError
from docxy.oci.routes import Route
from docxy.policy.addressing import Target
from docxy.policy.secret import SecretPath
from docxy.web.relay import BodyRelay
from docxy.web.request import MirrorRequest
from docxy.web.status import phrase
from docxy.web.traffic import Traffic

_log = Logger()

STOPPED = "docxy stopped"
"""The error of what was cut off by our own end."""


_NO_SECRET = SecretPath()


class Exchange:
    """
    What is known of one request while it is served.

    ``client`` is its believed address, ``key`` the name of the `[[access.key]]`
    that it shows; ``kind`` is its route's where that leads to an upstream;
    ``traffic`` counts it; ``secret`` is what its event must not tell, whatever
    was made of the request.
    """

    def __init__(
        self,
        request: MirrorRequest,
        client: str,
        clock: IReactorTime,
        traffic: Traffic,
        secret: SecretPath = _NO_SECRET,
    ) -> None:
        self.request = request
        self.client = client
        self.key = ""
        self.kind = "other"
        self.is_transfer = False
        self.source = "self"
        self.error = ""
        self.upstream = ""
        self.repository = ""
        self.reference = ""
        self._secret = secret
        self._clock = clock
        self._traffic = traffic
        self._started = clock.seconds()
        self._written = 0
        self._pays = False
        self._relay: BodyRelay | None = None
        self._course = Course()
        self.gone = False
        self._ended = False

    def concerns(self, route: Route, target: Target) -> None:
        """Name in the log what the request is about, as upstream spells it."""
        self.kind = route.kind.value
        self.upstream = target.upstream.name
        self.repository = str(target.repository or "")
        self.reference = str(route.reference or "")

    def follows(self, relay: BodyRelay, course: Course) -> None:
        """The answer's body is that of ``relay``, which comes as ``course`` tells."""
        self._relay = relay
        self._course = course

    @property
    def sent(self) -> int:
        """Bytes of the answer's body that were given to the client's connection."""
        return self._written if self._relay is None else self._relay.relayed

    @property
    def mended(self) -> Counter[str]:
        """How often its body was mended, by cause."""
        return self._course.resumes

    def shown(self) -> dict[str, object]:
        """
        What is known of it: bytes, bytes a second, seconds, and who has to act before it goes on.

        ``total`` is None while it is not known.
        """
        relay = self._relay
        return {
            "client": self.client,
            "method": self.request.method.decode("latin-1"),
            "kind": self.kind,
            "upstream": self.upstream,
            "repository": self._secret.hidden(self.repository),
            "reference": self._secret.hidden(self.reference),
            "source": self.source,
            "sent": self.sent,
            "total": self._written or None if relay is None else relay.length,
            "speed": 0 if relay is None else relay.speed,
            "seconds": round(self._clock.seconds() - self._started, 1),
            "resumes": dict(self.mended),
            "waits_for": self._waits_for(),
        }

    def _waits_for(self) -> str:
        if self._relay is None:
            return "rate" if self._pays else "client" if self._written else "upstream"
        waits_for = self._relay.waits_for
        return "mending" if waits_for == "upstream" and self._course.mending else waits_for

    def broke(self, cause: str) -> None:
        """Count a body that ended short."""
        self._traffic.broke(self, cause)

    def start(self, work: Coroutine[Deferred[Any], Any, None]) -> int:
        """Serve the request by ``work``; whatever it raises becomes an answer."""
        self._traffic.begin(self)
        serving = Deferred.fromCoroutine(work)
        self.request.notifyFinish().addErrback(self._client_left, serving)
        self.request.on_stop = partial(self._stop, serving)
        serving.addErrback(self._failed)
        serving.addErrback(self._broken)
        serving.addBoth(self._end)
        return NOT_DONE_YET

    def _client_left(self, _: Failure, serving: Deferred[None]) -> None:
        self.gone = True
        serving.cancel()

    def _stop(self, serving: Deferred[None]) -> None:
        """We end: a refusal where nothing is written yet, else an end short of what was announced."""
        self.error = STOPPED
        if not self.request.startedWriting:
            self.refuse(UNAVAILABLE.error(STOPPED))
        self.gone = True
        serving.cancel()

    def _failed(self, failure: Failure) -> None:
        failure.trap(RegistryError, CancelledError)
        if isinstance(failure.value, RegistryError):
            self._traffic.denied(failure.value)
            self.error = self.error or failure.value.message
            if not self.gone:
                self.refuse(failure.value)
        else:
            self.error = self.error or "client left"

    def _broken(self, failure: Failure) -> None:
        """A bug of ours: told with its traceback in the log, and as a 500 to the client."""
        _log.failure("request failed", failure=failure)
        self.error = failure.type.__name__ if failure.type else "failed"
        if not self.gone and not self.request.startedWriting:
            self.refuse(UNKNOWN.error())
        elif not self.gone:
            self.request.loseConnection()

    def _end(self, _: object) -> None:
        if self._ended:
            return
        self._ended = True
        status = self.request.code if self.request.startedWriting else 0
        self._traffic.end(self, status)
        _log.info(
            ACCESS,
            access=True,
            client=self.client,
            method=self.request.method.decode("latin-1")[:16],
            upstream=self.upstream or "-",
            repository=self._secret.hidden(self.repository) or "-",
            reference=self._secret.hidden(self.reference) or "-",
            status=status,
            bytes=self.sent,
            duration=self._clock.seconds() - self._started,
            source=self.source,
            resumes=self.mended.total(),
            error=self._secret.hidden(self.error) or "-",
        )

    def refuse(self, error: RegistryError) -> None:
        """Write a refusal and finish."""
        headers = [(b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")]
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in error.headers]
        self.write(error.status, headers, error.body())

    def answer(self, answer: Answer) -> None:
        """Write an answer whose content is all there, and finish."""
        if not self.gone:
            self._begin(answer)
            self._finish(answer)

    async def answer_and_wait(
        self, answer: Answer, pay: Callable[[int], Awaitable[None]] | None = None
    ) -> None:
        """
        As `answer`, and wait until the client has taken it or is gone.

        The head goes out at once, and the content once ``pay`` for its size has ended.
        """
        if self.gone:
            return
        channel = self.request.channel
        self._begin(answer)
        content = self._content(answer)
        if content and pay is not None:
            self.request.write(b"")
            self._pays = True
            await pay(len(content))
            self._pays = False
        self._finish(answer)
        if not self.gone:
            await channel.taken()

    def _begin(self, answer: Answer) -> None:
        self.source = answer.source
        self.head(answer)

    def _finish(self, answer: Answer) -> None:
        content = self._content(answer)
        self._written = len(content)
        self.request.write(content)
        self.request.finish()

    def _content(self, answer: Answer) -> bytes:
        assert isinstance(answer.content, bytes)
        return b"" if self.request.method == b"HEAD" or answer.status == 304 else answer.content

    def head(self, answer: Answer) -> None:
        """Set status and headers; nothing is written yet."""
        self._set(answer.status, answer.headers)
        if answer.length is not None and answer.status != 204:  # RFC 9110 section 8.6
            self.request.setHeader(b"Content-Length", b"%d" % answer.length)

    def write(self, status: int, headers: HeaderLines, body: bytes) -> None:
        """Write a short answer of ours and finish."""
        self.answer(Answer(status, headers, len(body), body, "self"))

    def _set(self, status: int, headers: HeaderLines) -> None:
        self.request.setResponseCode(status, phrase(status))
        # Twisted would add text/html where upstream sent no type.
        self.request.defaultContentType = None
        for name, value in headers:
            self.request.responseHeaders.addRawHeader(name, value)
