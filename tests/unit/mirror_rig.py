"""
The mirror's decisions over scripted upstreams, for the tests of pulls, pings and tokens.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.answers import Answer, Caller, Stream
from docxy.asking import Asking
from docxy.auth import Auth
from docxy.interfaces import Ask, Clocks, Course, HeaderLines, IBody, Reply, Span
from docxy.metrics import Metrics
from docxy.mirror import Mirror
from docxy.oci.challenges import Challenge
from docxy.oci.challenges import parse as parse_challenges
from docxy.oci.errors import RegistryError
from docxy.oci.routes import parse
from docxy.policy.addressing import Addressing
from docxy.policy.allowances import Allowances
from docxy.settings.values import LimitSettings, ServerSettings, Settings, UpstreamSettings
from docxy.testing import Asked, FakeTokenSource, FakeUpstream, MemoryBody

_T = TypeVar("_T")

# 2026-11-23 12:00:00 UTC
WALL = 1795435200.0

HUB = UpstreamSettings(
    name="docker.io",
    urls=("https://registry-1.docker.io",),
    prefixes=("docker.io", "hub"),
    library=True,
    search_url="https://index.docker.io",
    stall=7.0,
)
GHCR = UpstreamSettings(name="ghcr.io", urls=("https://ghcr.io",), prefixes=("ghcr.io",))
QUAY = UpstreamSettings(
    name="quay.io", urls=("https://quay.io",), prefixes=("quay.io",), hosts=("quay.example",)
)
OWN = UpstreamSettings(name="own.example", urls=("https://own.example",), prefixes=("own",), auth="own")

BASE = "https://mirror.example"
CONTENT = bytes(range(256))
DIGEST = f"sha256:{sha256(CONTENT).hexdigest()}"
BLOB = f"/v2/library/alpine/blobs/{DIGEST}"
MANIFEST = "/v2/library/alpine/manifests/latest"
BY_DIGEST = f"/v2/library/alpine/manifests/{DIGEST}"
TOKEN = b"Bearer eyJ.some.token"


class Rig:
    """Auth and Mirror of some upstreams, each played by fakes."""

    def __init__(self, *upstreams: UpstreamSettings, secret: str | None = None) -> None:
        chosen = upstreams or (HUB, GHCR, QUAY, OWN)
        settings = Settings(ServerSettings(listen=(), secret_path=secret), chosen)
        self.clock = Clock()
        self.upstreams = {each.name: FakeUpstream() for each in chosen}
        self.tokens = {each.name: FakeTokenSource(each) for each in chosen}
        self.addressing = Addressing(settings)
        clocks = Clocks(self.clock, lambda: WALL + self.clock.seconds())
        self.auth = Auth(settings, self.addressing, self.upstreams, self.tokens, clocks)
        self.asks: list[Ask | None] = []
        self.aheads: list[Ask | None] = []
        self.metrics = Metrics({})
        self.allowances = Allowances()
        self.asking = Asking(self.upstreams, self.tokens, clocks, self.metrics, self.allowances)
        self.mirror = Mirror(LimitSettings(), self.asking, self.auth, self._mend, clocks)

    def _mend(
        self,
        theirs: Reply,
        span: Span,
        course: Course,
        ask: Ask | None,
        upstream: UpstreamSettings,
        ahead: Ask | None = None,
    ) -> IBody:
        """Mends nothing, and keeps how it could be."""
        self.asks.append(ask)
        self.aheads.append(ahead)
        return theirs.body

    def caller(
        self,
        method: bytes = b"GET",
        headers: HeaderLines = (),
        host: str | None = None,
        authorization: bytes | None = None,
    ) -> Caller:
        """Who asks; its credential is among its headers as well."""
        borne = [] if authorization is None else [(b"Authorization", authorization)]
        return Caller(method, (*headers, *borne), host, BASE, authorization)

    def pull(self, url: str, caller: Caller | None = None) -> Deferred[Answer]:
        """Ask for ``url``; refusals of the addressing come out as well."""
        path, _, query = url.partition("?")
        caller = caller or self.caller()
        route = parse(caller.method, path.encode(), query.encode())
        target = self.addressing.target(route, caller.host)
        return Deferred.fromCoroutine(self.mirror.pull(route, target, caller))

    def ping(self, url: str = "/v2/", caller: Caller | None = None) -> Deferred[Answer]:
        """Ping."""
        caller = caller or self.caller()
        path, _, query = url.partition("?")
        target = self.addressing.target(parse(b"GET", path.encode(), query.encode()), caller.host)
        return Deferred.fromCoroutine(self.auth.ping(target, caller))

    def token(
        self,
        url: str,
        params: Sequence[tuple[str, str]] = (),
        caller: Caller | None = None,
        form: bool = False,
    ) -> Deferred[Answer]:
        """Ask for a token."""
        route = parse(b"GET", url.encode(), b"")
        asking = caller or self.caller()

        async def token() -> Answer:
            found = self.auth.token_target(route, asking, params)
            return await self.auth.token(found, asking, params, form)

        return Deferred.fromCoroutine(token())

    def search(self, url: str) -> Deferred[Answer]:
        """Search."""
        path, _, query = url.partition("?")
        route = parse(b"GET", path.encode(), query.encode())
        target = self.addressing.target(route, None)
        return Deferred.fromCoroutine(self.mirror.search(route, target))

    def asked(self, upstream: str = "docker.io") -> list[Asked]:
        """What reached an upstream."""
        return self.upstreams[upstream].asked


class PullTests(SynchronousTestCase):
    """What each class of tests asks of a rig."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.hub = self.rig.upstreams["docker.io"]

    def refused(self, asking: Deferred[_T]) -> RegistryError:
        """The refusal that an asking ends with."""
        error: RegistryError = self.failureResultOf(asking, RegistryError).value
        return error

    def run_now(self, work: Coroutine[Deferred[Any], Any, _T]) -> _T:
        """The result of work that waits for nothing."""
        result: _T = self.successResultOf(Deferred.fromCoroutine(work))
        return result


def stream_of(answer: Answer) -> Stream:
    """The stream of an answer that must have one."""
    assert isinstance(answer.content, Stream)
    return answer.content


def body_of(answer: Answer) -> MemoryBody:
    """The upstream body that an answer streams."""
    body = stream_of(answer).reply.body
    assert isinstance(body, MemoryBody)
    return body


def values(answer: Answer, name: bytes) -> list[bytes]:
    """Every value of a header, in order."""
    return [value for key, value in answer.headers if key.lower() == name.lower()]


def challenge_of(answer: Answer) -> Challenge:
    """The one challenge of a 401, as clients read it: one in one line."""
    lines = values(answer, b"WWW-Authenticate")
    found = parse_challenges(line.decode("ascii") for line in lines)
    assert answer.status == 401, answer.status
    assert len(lines) == len(found) == 1, lines
    return found[0]
