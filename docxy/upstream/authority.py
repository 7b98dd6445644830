"""
Who gives out tokens for one upstream: built in, set, or learnt by asking.

Learning is a ping without credentials, shared by all who wait for it, and
repeated hourly.  The realm that an upstream names is judged by
`docxy.policy.realms` before anybody sends it anything.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from docxy.interfaces import Authority, IUpstream, Reply, UpstreamError
from docxy.oci.challenges import choose, parse
from docxy.policy.realms import RealmRefused, check_realm
from docxy.settings.values import UpstreamSettings
from docxy.upstream.shared import SharedByKey

_log = Logger()

RELEARN_AFTER = 3600.0  # seconds
RETRY_AFTER = 5.0  # seconds before an upstream that could not be asked is asked again

PING_HEADERS = ((b"Accept-Encoding", b"identity"), (b"User-Agent", b"docxy"))


class AuthoritySource:
    """Answers `Authority` for the upstream of ``settings``."""

    def __init__(self, settings: UpstreamSettings, upstream: IUpstream, clock: IReactorTime) -> None:
        self._settings = settings
        self._upstream = upstream
        self._clock = clock
        self._known = _built_in(settings)
        self._asked_at: float | None = None
        self._asking: SharedByKey[Authority] = SharedByKey()

    @property
    def known(self) -> Authority:
        """What is known now, without asking."""
        return self._known

    def get(self) -> Deferred[Authority]:
        """What is known, learning it first where nothing is; never fails."""
        if self._is_fixed():
            return succeed(self._known)
        if self._known.kind == "unknown":
            return self._ask() if self._is_due(RETRY_AFTER) else succeed(self._known)
        if self._is_due(RELEARN_AFTER):
            self._asked_at = self._clock.seconds()  # once, however many come before the answer
            self._ask()
        return succeed(self._known)

    def doubt(self) -> None:
        """The upstream asks for credentials though none seemed to be needed: ask it anew, now and then."""
        if not self._is_fixed() and self._known.kind == "none" and self._is_due(RETRY_AFTER):
            self._known = Authority("unknown", problem="it asked for credentials that it did not need before")

    def _is_fixed(self) -> bool:
        settings = self._settings
        return settings.needs_token is False or (settings.realm is not None and settings.service is not None)

    def _is_due(self, seconds: float) -> bool:
        return self._asked_at is None or self._clock.seconds() - self._asked_at >= seconds

    def _ask(self) -> Deferred[Authority]:
        return self._asking.join(None, lambda: Deferred.fromCoroutine(self._learn()))

    async def _learn(self) -> Authority:
        try:
            reply = await self._upstream.ping(PING_HEADERS)
        except UpstreamError as error:
            self._settle(Authority("unknown", problem=str(error)))
        else:
            reply.body.drop()
            self._settle(_judge(reply, self._settings))
        return self._known

    def _settle(self, learnt: Authority) -> None:
        self._asked_at = self._clock.seconds()
        if learnt.kind != "unknown":
            self._known = learnt
            return
        _log.warn("{upstream}: {problem}", upstream=self._settings.name, problem=learnt.problem)
        if self._known.kind == "unknown":
            self._known = learnt


def _built_in(settings: UpstreamSettings) -> Authority:
    if settings.needs_token is False:
        return Authority("none")
    if settings.realm is not None:
        return Authority("bearer", settings.realm, settings.service)
    return Authority("unknown", problem="it was not asked yet")


def _judge(reply: Reply, settings: UpstreamSettings) -> Authority:
    """What an upstream's answer to an anonymous ping says of its tokens."""
    if reply.redirected:
        return Authority("unknown", problem="its answer to GET /v2/ comes from another origin")
    if reply.status != 401:
        if reply.status == 200 and settings.realm is None and _is_registry(reply):
            return Authority("none")
        return Authority("unknown", problem=f"GET /v2/ was answered with status {reply.status}")
    challenge = choose(parse(reply.lines(b"www-authenticate")))
    if challenge is None:
        return Authority("unknown", problem="its 401 to GET /v2/ has no challenge that docxy understands")
    if challenge.scheme == "basic" and settings.realm is None:
        return Authority("basic", challenge.get("realm"))
    try:
        realm = settings.realm or check_realm(challenge.get("realm") or "", settings)
    except RealmRefused as error:
        return Authority("unknown", problem=str(error))
    return Authority("bearer", realm, settings.service or challenge.get("service") or None)


def _is_registry(reply: Reply) -> bool:
    """Whether a 200 is a registry's: a page of somebody in between would open it to nobody's tokens."""
    content_type = reply.header(b"content-type") or ""
    return "json" in content_type or reply.header(b"docker-distribution-api-version") is not None
