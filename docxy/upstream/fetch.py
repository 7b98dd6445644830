"""
One upstream: ask it, try after try, within the time that clients allow.

Owns the order of urls, the tries of a request and their time in all.  The
first try takes a connection that was kept, and so does one after a body that a
good host broke off; all others make new ones.  What failed lately comes last:
addresses, hosts that a registry sends us to, and the upstream's urls that
could not be reached.  Knows nothing of clients.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent
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
from docxy.policy.addresses import unmapped
from docxy.policy.redirects import redact
from docxy.policy.retry import Budget, Patience, told_wait
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.agent import UpstreamAgent
from docxy.upstream.attempt import Attempt, Question, host_of
from docxy.upstream.failures import FailureMemory

_log = Logger()
_T = TypeVar("_T")

TRIES = Patience(attempts=8, first_wait=0.1, longest_wait=0.8, down=3.0)
PING_TRIES = Patience(attempts=2, first_wait=0.0)
ERROR_TRIES = 3  # of those, tries that may be answered by a server error; the last one is relayed
MAX_TROUBLE = 500  # characters
_SHARE = 0.9  # of the whole time: a try that begins later comes to nothing


def within(seconds: float, clock: IReactorTime, work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    """``work``, or `UpstreamTimedOut` once ``seconds`` are over."""

    def late(_: object, allowed: float) -> Failure:
        return Failure(UpstreamTimedOut(f"no answer within {allowed:g} s"))

    return Deferred.fromCoroutine(work).addTimeout(seconds, clock, late)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A try that failed: where and why, and when by the steady clock."""

    text: str
    seen_at: float


@implementer(IUpstream)
class Upstream:
    """
    The registry that ``settings`` describe, asked through ``agent``.

    ``trouble`` is the last try that failed.
    """

    trouble: Trouble | None = None

    def __init__(
        self,
        settings: UpstreamSettings,
        limits: LimitSettings,
        agent: UpstreamAgent,
        clock: IReactorTime,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._limits = limits
        self._agent = agent
        self._failures = agent.failures
        self._clock = clock
        self._jitter = jitter

    def fetch(
        self, method: bytes, target: bytes, headers: HeaderLines, avoid: frozenset[str] = frozenset()
    ) -> Deferred[Reply]:
        question = Question(method, target, headers)
        return self._pursue(question, self.settings.urls, avoid, TRIES, self._limits.first_header)

    def again(self, target: bytes, headers: HeaderLines, avoid: frozenset[str]) -> Deferred[Reply]:
        for name in avoid:
            if not self._failures.bad(name):
                self._failures.note(name)
        work = self._again(Question(b"GET", target, headers), avoid)
        return within(self._limits.first_header, self._clock, work)

    def ping(self, headers: HeaderLines) -> Deferred[Reply]:
        question = Question(b"GET", b"/v2/", headers)
        # Only the registry itself can say who gives tokens for it, and whether credentials are good.
        return self._pursue(question, self.settings.urls[-1:], frozenset(), PING_TRIES, self._limits.answer)

    def search(self, query: bytes) -> Deferred[Reply]:
        url = self.settings.search_url
        if url is None:
            return fail(UpstreamBroken(f"{self.settings.name} has no search"))
        question = Question(b"GET", b"/v1/search?" + query, ((b"Accept-Encoding", b"identity"),))
        return self._pursue(question, (url,), frozenset(), PING_TRIES, self._limits.answer)

    def _pursue(
        self,
        question: Question,
        urls: Sequence[str],
        avoid: frozenset[str],
        tries: Patience,
        seconds: float,
    ) -> Deferred[Reply]:
        patience = replace(tries, attempts=max(tries.attempts, len(urls)), seconds=_SHARE * seconds)
        budget = Budget(patience, self._clock.seconds(), self._jitter)
        errors = max(min(ERROR_TRIES, tries.attempts), len(urls))
        pursuit = _Pursuit(question, self._in_order(urls, avoid), urls[-1], budget, errors)
        return within(seconds, self._clock, self._run(pursuit, avoid))

    def _in_order(self, urls: Sequence[str], avoid: frozenset[str]) -> list[str]:
        """As the settings say, but for those to be avoided and those that failed lately."""
        hosts = {url: host_of(url) for url in urls}
        return sorted(urls, key=lambda url: (hosts[url] in avoid, self._failures.rank(hosts[url])))

    async def _run(self, pursuit: _Pursuit, avoid: frozenset[str]) -> Reply:
        """Try after try, until an outcome stands."""
        agent: IAgent = self._agent
        shun: Callable[[str], bool] = avoid.__contains__
        while True:
            attempt = self._attempt(agent)
            outcome = await _outcome(
                attempt.follow(self._for(pursuit.question, pursuit.url), pursuit.url, shun)
            )
            self._note_trouble(attempt, outcome)
            wait = pursuit.wait(attempt, outcome, self._clock.seconds())
            if wait is None:
                break
            self._failed(attempt, outcome, wait)
            if wait:
                await deferLater(self._clock, wait)
            agent, shun = self._agent.anew, self._shunned(avoid)
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    async def _again(self, question: Question, avoid: frozenset[str]) -> Reply:
        urls = deque(self._in_order(self.settings.urls, avoid))
        # Where nothing worse is known than an address, which the pool forgets by itself, the others are good.
        is_mild = all(unmapped(name) is not None for name in avoid)
        agent: IAgent = self._agent if is_mild else self._agent.anew
        while True:
            url = urls.popleft()
            attempt = self._attempt(agent)
            outcome = await _outcome(attempt.follow(self._for(question, url), url, self._shunned(avoid)))
            if isinstance(outcome, UpstreamError) or url == self.settings.urls[-1]:
                break
            if not _is_refusal(outcome):
                break
            outcome.body.drop()
        _note(self._failures, attempt, outcome)
        self._note_trouble(attempt, outcome)
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    def avoided(self) -> list[str]:
        """Hosts and addresses that failed lately."""
        return self._failures.names()

    def _note_trouble(self, attempt: Attempt, outcome: Reply | UpstreamError) -> None:
        if isinstance(outcome, UpstreamError) or outcome.status >= 500:
            text = f"{redact(attempt.url)}: {_why(outcome)}"
            self.trouble = Trouble(text[:MAX_TROUBLE], self._clock.seconds())

    def _for(self, question: Question, url: str) -> Question:
        """Credentials are the registry's, which is the last url: the mirrors before it never see them."""
        if url in (self.settings.urls[-1], self.settings.search_url):
            return question
        return replace(question, headers=after_origin_change(question.headers))

    def _attempt(self, agent: IAgent) -> Attempt:
        return Attempt(self.settings, agent, self._clock, self._limits.attempt)

    def _shunned(self, avoid: frozenset[str]) -> Callable[[str], bool]:
        return lambda host: host in avoid or self._failures.bad(host)

    def _failed(self, attempt: Attempt, outcome: Reply | UpstreamError, wait: float) -> None:
        """An outcome does not stand: remember who failed, and say so."""
        _note(self._failures, attempt, outcome)
        if isinstance(outcome, Reply):
            outcome.body.drop()
        _log.warn(
            "{upstream}: {url}: {why}; tried again in {wait:.1f} s",
            upstream=self.settings.name,
            url=redact(attempt.url),
            why=_why(outcome),
            wait=wait,
        )


class _Pursuit:
    """
    The tries of one request: the urls that are left for it, the next one first.

    Waits are between two tries of one url; a url that was not asked yet is asked at once.
    """

    def __init__(
        self, question: Question, urls: Sequence[str], registry: str, budget: Budget, errors: int
    ) -> None:
        self.question = question
        self._urls = deque(urls)
        self._registry = registry
        self._fresh_urls = set(urls)
        self._budget = budget
        self._errors_left = errors
        self._was_refused = False

    @property
    def url(self) -> str:
        """The url whose turn it is."""
        return self._urls[0]

    def wait(self, attempt: Attempt, outcome: Reply | UpstreamError, now: float) -> float | None:
        """Seconds before the next try; None: ``outcome`` stands."""
        retry_after: float | None = None
        if isinstance(outcome, Reply):
            if self._is_signature_refused(outcome):
                return 0.0
            if self.url != self._registry and _is_refusal(outcome):
                return self._turn(True, self._budget.failed(now))
            if outcome.status < 500 or self._errors_left <= 1:
                return None
            self._errors_left -= 1
            retry_after = self._told_wait(outcome, now)
        return self._turn(attempt.is_final, self._budget.failed(now, retry_after, attempt.is_down))

    def _is_signature_refused(self, reply: Reply) -> bool:
        """Whether, for the first time, the CDN's signature ran out before we used it."""
        if self._was_refused or not reply.redirected or reply.status not in (401, 403):
            return False
        self._was_refused = True
        return True

    def _told_wait(self, reply: Reply, now: float) -> float | None:
        """What the only url asks for, where there is time for it."""
        told = told_wait(reply.header(b"retry-after"), reply.header(b"date"))
        fits = told is not None and told < self._budget.left(now) and len(self._urls) == 1
        return told if fits else None

    def _turn(self, is_final: bool, wait: float | None) -> float | None:
        """On to the next url; one that failed for good is not asked again."""
        url = self._urls.popleft()
        self._fresh_urls.discard(url)
        if not is_final:
            self._urls.append(url)
        if not self._urls:
            return None
        return 0.0 if wait is not None and self.url in self._fresh_urls else wait


def _is_refusal(reply: Reply) -> bool:
    """Whether it has not what was asked for, or not for us: the word of the registry alone counts."""
    return 400 <= reply.status < 500


def _why(outcome: Reply | UpstreamError) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Reply) else str(outcome)


async def _outcome(following: Coroutine[Deferred[Any], Any, Reply]) -> Reply | UpstreamError:
    try:
        return await following
    except UpstreamError as error:
        return error


def _note(failures: FailureMemory, attempt: Attempt, outcome: Reply | UpstreamError) -> None:
    """Remember who failed, if anybody did."""
    if isinstance(outcome, Reply):
        failed, is_absent = outcome.status >= 500, False
        address = outcome.address
        if failures.bad(address):
            failures.note(address)  # where all have failed they take turns
    else:
        failed, is_absent = not attempt.is_final, isinstance(outcome, UpstreamUnreachable | UpstreamTimedOut)
        address = attempt.address
    if failed:
        failures.note(address)
    # A registry's url may be the nearer one: it is set back only where it could not be had at all.
    if failed and (attempt.redirected or is_absent):
        failures.note(attempt.host)
