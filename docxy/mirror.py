"""
One pull, start to end: from a route to the answer that will be relayed.

Owns the order of steps: credential, upstream, its refusals, and what a
manifest or blob becomes on the way.  Knows interfaces only, neither the web
server nor sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from docxy import content
from docxy.answers import Answer, Caller, Stream, in_time, refusal, unavailable
from docxy.asking import Asking
from docxy.auth import Auth
from docxy.interfaces import (
    Ask,
    Clocks,
    Course,
    HeaderLines,
    Reply,
    Span,
    Unbroken,
    UpstreamBroken,
    UpstreamError,
    UpstreamTooLarge,
)
from docxy.oci.errors import NAME_UNKNOWN, UNAVAILABLE, RegistryError
from docxy.oci.headers import response_to_client
from docxy.oci.links import rewrite
from docxy.oci.ranges import ByteRange
from docxy.oci.routes import Kind, Route
from docxy.oci.scopes import Scope
from docxy.policy.addressing import Target, client_path
from docxy.policy.misfits import Misfits
from docxy.settings.values import LimitSettings

MAX_MANIFEST = 5 << 20  # bytes; clients refuse from 4 MiB on
MAX_SEARCH = 1 << 20  # bytes
TRIES = 3  # of a pull whose answers are broken, within the time for its first header

_log = Logger()

_Send = Callable[[bytes, HeaderLines, frozenset[str]], Deferred[Reply]]


class Mirror:
    """Pulls through the upstreams of a closed list."""

    def __init__(
        self,
        limits: LimitSettings,
        asking: Asking,
        auth: Auth,
        mend: Unbroken,
        clocks: Clocks,
    ) -> None:
        self._limits = limits
        self._asking = asking
        self._auth = auth
        self._mend = mend
        self._clocks = clocks
        self._clock = clocks.steady
        self._misfits = Misfits()

    def carry_on(self, other: Mirror) -> None:
        """Know, from now on together with ``other``, what it has learnt of quotas and wrong bytes."""
        self._asking.carry_on(other._asking)
        self._misfits = other._misfits

    async def pull(self, route: Route, target: Target, caller: Caller) -> Answer:
        """The answer to a GET or HEAD of ``route``; raises `RegistryError`."""
        work = self._pull(route, target, caller)
        try:
            answer = await in_time(self._limits.first_header, self._clock, work)
        except UpstreamError as error:
            raise unavailable(target.upstream.name, error) from None
        if target.ns is None:
            return answer
        return replace(answer, headers=(*answer.headers, (b"OCI-Namespace", target.ns.encode("ascii"))))

    async def _pull(self, route: Route, target: Target, caller: Caller) -> Answer:
        """Ask until an answer is right, of hosts that have not sent a broken one first."""
        avoid = self._heed_misfits(route, target, caller)
        tries = 0
        while True:
            tries += 1
            authorization, reply = await self._admitted(route, target, caller, avoid)
            try:
                return await self._answer(route, target, caller, authorization, reply)
            except UpstreamBroken as error:
                if isinstance(error, UpstreamTooLarge) or tries == TRIES:
                    raise
                _log.warn("{host}: {error}; asked again", host=reply.host, error=str(error))
                avoid |= {reply.host}

    async def _admitted(
        self, route: Route, target: Target, caller: Caller, avoid: frozenset[str]
    ) -> tuple[bytes | None, Reply]:
        """The answer to a credential, which is taken anew where one of ours was refused."""
        authorization = await self._auth.credential(target, caller, _scopes(route, target))
        reply = await self._asking.ask(route, target, caller, authorization, avoid)
        if authorization is not None and _refuses_us(target, reply):
            reply.body.drop()
            self._asking.tokens(target).forget(authorization)
            authorization = await self._auth.credential(target, caller, _scopes(route, target))
            reply = await self._asking.ask(route, target, caller, authorization, avoid)
        return authorization, reply

    async def _answer(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> Answer:
        """What the client is told; raises `UpstreamBroken` where another try may bring more."""
        if reply.status >= 400:
            return await self._refused(route, target, caller, reply)
        if not content.fits(route, caller, reply):
            reply.body.drop()
            raise UpstreamBroken(f"status {reply.status} is no answer to what was asked")
        if reply.status == 304:
            return content.not_modified(route, reply)
        if caller.is_head and route.kind in (Kind.MANIFEST, Kind.BLOB):
            length = await self._length(route, target, caller, authorization, reply)
            return content.head(route, reply, length)
        if route.kind is Kind.MANIFEST:
            return content.manifest(route, caller, reply, await self._whole(target, reply))
        if route.kind is Kind.BLOB:
            answer = content.blob(route, target.upstream, caller, reply)
        else:
            answer = self._list(route, target, caller, reply)
        return self._unbroken(answer, route, target, caller)

    async def _whole(self, target: Target, reply: Reply) -> bytes:
        """A manifest's bytes; one that stalls is a broken one."""
        watched = self._mend(reply, Span(0, reply.length, None), Course(), None, target.upstream)
        body: bytes = await watched.read(MAX_MANIFEST)
        return body

    def _unbroken(self, answer: Answer, route: Route, target: Target, caller: Caller) -> Answer:
        """The same, with a body that mends itself where it can be mended."""
        stream = answer.content
        if not isinstance(stream, Stream):
            return answer
        ask = ahead = None
        if stream.is_mendable:
            upstream = self._asking.upstream(target)
            ask = self._asker(route, target, caller, upstream.again)
            ahead = self._asker(route, target, caller, partial(upstream.fetch, b"GET"))
        body = self._mend(stream.reply, stream.span, stream.course, ask, target.upstream, ahead)
        return replace(answer, content=replace(stream, reply=replace(stream.reply, body=body)))

    def _asker(self, route: Route, target: Target, caller: Caller, send: _Send) -> Ask:
        """How a part of this pull's blob is asked for; hosts that sent wrong bytes of it are avoided."""
        blob = _blob(route, target)

        def ask(first: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
            wanted = ByteRange(first, None if end is None else end - 1)
            shunned = avoid | self._misfits.hosts(blob, self._clock.seconds())

            def part(authorization: bytes | None) -> Deferred[Reply]:
                headers = content.part_headers(caller, authorization, wanted)
                return send(content.request_target(route, target), headers, shunned)

            return Deferred.fromCoroutine(self._part(route, target, caller, part))

        return ask

    async def _part(
        self, route: Route, target: Target, caller: Caller, part: Callable[[bytes | None], Deferred[Reply]]
    ) -> Reply:
        """
        A part of a blob, with a fresh token where we hold it.

        A client's own token may have run out since: what everybody may have
        is then asked for anonymously.
        """
        scopes = _scopes(route, target)
        authorization = await self._auth.credential(target, caller, scopes)
        reply = await part(authorization)
        if reply.status != 401 or reply.redirected or authorization is None:
            return reply
        reply.body.drop()
        tokens = self._asking.tokens(target)
        tokens.forget(authorization)
        return await part(await tokens.bearer(scopes))

    # Wrong bytes

    def note_misfit(self, route: Route, target: Target, course: Course, size: int) -> None:
        """The ``size`` bytes of a blob did not fit its digest: who sent them is avoided for a while."""
        now = self._clock.seconds()
        self._misfits.remember(_blob(route, target), course.hosts, size, now)

    def _heed_misfits(self, route: Route, target: Target, caller: Caller) -> frozenset[str]:
        """
        The hosts to avoid for a blob.

        Raises 416 for the rest of wrong bytes: a client that begins anew gets
        right ones, one that resumes would end with a digest that cannot fit.
        """
        blob, now = _blob(route, target), self._clock.seconds()
        size = self._misfits.size(blob, now)
        if size is not None and not caller.is_head and content.is_tail(caller):
            raise content.unsatisfiable(size, "the bytes before this range were wrong; begin anew")
        return self._misfits.hosts(blob, now)

    # Refusals

    async def _refused(self, route: Route, target: Target, caller: Caller, reply: Reply) -> Answer:
        if reply.redirected and reply.status not in (404, 416, 429):
            reply.body.drop()
            raise UNAVAILABLE.error(f"the registry's storage answered with status {reply.status}", status=502)
        if _refuses_us(target, reply):
            reply.body.drop()
            raise _not_for_us(target)
        if reply.status == 401:
            return await self._auth.challenged(target, caller, reply, route.kind)
        return await refusal(reply, route.kind, self._clocks)

    # What was asked for

    async def _length(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> int | None:
        """
        The size that a HEAD is to tell, asked for by one byte where upstream left it out.

        Clients take a HEAD without it for an error, or repeat it as a GET.
        """
        reply.body.drop()
        if reply.length is not None:
            return reply.length
        headers = content.request_headers(route, caller, authorization)
        probe: HeaderLines = [*headers, (b"Range", b"bytes=0-0")]
        upstream = self._asking.upstream(target)
        try:
            answer: Reply = await upstream.fetch(b"GET", content.request_target(route, target), probe)
        except UpstreamError:
            return None
        answer.body.drop()
        return content.total_size(answer)

    def _list(self, route: Route, target: Target, caller: Caller, reply: Reply) -> Answer:
        headers = response_to_client(reply.headers, kind="list")
        path = client_path(target, route)
        for value in reply.lines(b"link"):
            link = rewrite(value, client_path=path, ns=target.ns)
            if link is not None:
                headers.append((b"Link", link.encode("ascii")))
                break
        return content.streamed(caller, reply, headers)

    async def search(self, route: Route, target: Target) -> Answer:
        """Answer ``/v1/search`` for an upstream that has one; raises `RegistryError`."""
        try:
            return await in_time(self._limits.answer, self._clock, self._search(route, target))
        except UpstreamError as error:
            raise unavailable(target.upstream.name, error) from None

    async def _search(self, route: Route, target: Target) -> Answer:
        reply: Reply = await self._asking.upstream(target).search(route.query)
        if reply.status != 200:
            return await refusal(reply, route.kind, self._clocks)
        body = await reply.body.read(MAX_SEARCH)
        return Answer(200, tuple(response_to_client(reply.headers, kind="list")), len(body), body)


def _scopes(route: Route, target: Target) -> tuple[Scope, ...]:
    if target.repository is None:
        return (Scope("registry", "catalog", ("*",)),)
    return (Scope("repository", str(target.repository), ("pull",)),)


def _blob(route: Route, target: Target) -> Hashable:
    """By what wrong bytes are remembered: a manifest of the same digest is another content."""
    return target.upstream.name, route.kind, route.reference


def _refuses_us(target: Target, reply: Reply) -> bool:
    """Whether the registry refuses docxy's own access; its storage says nothing of that."""
    return reply.status == 401 and target.upstream.auth == "own" and not reply.redirected


def _not_for_us(target: Target) -> RegistryError:
    """An upstream that refuses docxy's own access: no 401, which would ask the client for credentials."""
    return NAME_UNKNOWN.error(
        f"{target.repository or target.upstream.name} does not exist at {target.upstream.name}, "
        "or this mirror's access does not cover it"
    )
