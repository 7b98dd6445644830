"""
One pull, start to end: from a route to the answer that will be relayed.

Owns the order of steps: credential, quota, upstream, its refusals, and what a
manifest or blob becomes on the way.  Knows interfaces only, neither the web
server nor sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from twisted.python.failure import Failure

from docxy import content
from docxy.answers import Answer, Caller, refusal, unavailable
from docxy.auth import Auth
from docxy.interfaces import (
    Clocks,
    HeaderLines,
    ITokenSource,
    IUpstream,
    Reply,
    UpstreamError,
    UpstreamTimedOut,
)
from docxy.oci.errors import NAME_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE, RegistryError
from docxy.oci.headers import request_to_upstream, response_to_client
from docxy.oci.links import rewrite
from docxy.oci.routes import Kind, Route
from docxy.oci.scopes import Scope
from docxy.policy.addressing import Addressing, Target
from docxy.policy.limits import Quota, short_wait
from docxy.settings.values import LimitSettings

MAX_MANIFEST = 5 << 20  # bytes; clients refuse from 4 MiB on
MAX_SEARCH = 1 << 20  # bytes


class Mirror:
    """Pulls through the upstreams of a closed list."""

    def __init__(
        self,
        limits: LimitSettings,
        addressing: Addressing,
        upstreams: Mapping[str, IUpstream],
        tokens: Mapping[str, ITokenSource],
        auth: Auth,
        clocks: Clocks,
    ) -> None:
        self._limits = limits
        self._addressing = addressing
        self._upstreams = upstreams
        self._tokens = tokens
        self._auth = auth
        self._clock = clocks.steady
        self._wall = clocks.wall
        self._quota = Quota()

    async def pull(self, route: Route, target: Target, caller: Caller) -> Answer:
        """The answer to a GET or HEAD of ``route``; raises `RegistryError`."""
        try:
            answer = await self._pull(route, target, caller)
        except UpstreamError as error:
            raise unavailable(target.upstream.name, error) from None
        if target.ns is None:
            return answer
        return replace(answer, headers=(*answer.headers, (b"OCI-Namespace", target.ns.encode("ascii"))))

    async def _pull(self, route: Route, target: Target, caller: Caller) -> Answer:
        authorization = await self._auth.credential(target, caller, _scopes(route, target))
        reply = await self._ask(route, target, caller, authorization)
        if reply.status == 401 and target.upstream.auth == "own" and authorization is not None:
            reply.body.drop()
            self._tokens[target.upstream.name].forget(authorization)
            authorization = await self._auth.credential(target, caller, _scopes(route, target))
            reply = await self._ask(route, target, caller, authorization)
        if reply.status >= 300 and reply.status != 304:
            return await self._refused(route, target, caller, authorization, reply)
        if route.kind is Kind.MANIFEST:
            return await self._manifest(route, target, caller, authorization, reply)
        if route.kind is Kind.BLOB:
            return await self._blob(route, target, caller, authorization, reply)
        return self._list(route, target, caller, reply)

    async def _ask(self, route: Route, target: Target, caller: Caller, authorization: bytes | None) -> Reply:
        headers = request_to_upstream(caller.headers, authorization=authorization)
        if route.kind is Kind.MANIFEST:
            headers = [(name, value) for name, value in headers if name not in content.RANGE_HEADERS]
            self._heed_quota(target, caller, authorization)
        upstream = self._upstreams[target.upstream.name]
        reply: Reply = await upstream.fetch(caller.method, _upstream_target(route, target), headers)
        return reply

    # Quota

    def _quota_key(self, target: Target, authorization: bytes | None) -> tuple[str, str] | None:
        credential = self._tokens[target.upstream.name].credential(authorization)
        return None if credential is None else (target.upstream.name, credential)

    def _heed_quota(self, target: Target, caller: Caller, authorization: bytes | None) -> None:
        key = self._quota_key(target, authorization)
        if key is None or caller.is_head:
            return
        seconds = self._quota.wait(key, self._clock.seconds())
        if seconds is not None:
            raise TOOMANYREQUESTS.error(
                f"{target.upstream.name} has no pulls left for this mirror's {key[1]} access",
                headers=(("Retry-After", str(seconds)),),
            )

    def _note_quota(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> int:
        """Remember or forget a 429; the seconds that a client is told to wait."""
        told = reply.header(b"retry-after")
        known = self._quota_key(target, authorization)
        if known is None or route.kind is not Kind.MANIFEST or caller.is_head:
            return short_wait(told, self._wall())
        if reply.status == 429:
            return self._quota.remember(known, self._clock.seconds(), told, wall_clock=self._wall())
        self._quota.forget(known)
        return 0

    # Refusals

    async def _refused(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> Answer:
        wait = self._note_quota(route, target, caller, authorization, reply)
        if reply.redirected and reply.status not in (404, 416, 429):
            reply.body.drop()
            raise UNAVAILABLE.error(f"the registry's storage answered with status {reply.status}", status=502)
        if reply.status == 401 and target.upstream.auth == "own":
            reply.body.drop()
            raise _not_for_us(target)
        if reply.status == 401:
            return await self._auth.challenged(target, caller, reply, route.kind)
        answer = await refusal(reply, route.kind)
        if reply.status != 429:
            return answer
        kept = [line for line in answer.headers if line[0].lower() != b"retry-after"]
        return replace(answer, headers=(*kept, (b"Retry-After", b"%d" % wait)))

    # What was asked for

    async def _manifest(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> Answer:
        self._note_quota(route, target, caller, authorization, reply)
        if reply.status == 304:
            reply.body.drop()
            return Answer(304, tuple(response_to_client(reply.headers, kind="manifest")), None)
        if caller.is_head:
            length = await self._length(route, target, caller, authorization, reply)
            return content.head(reply, length, "manifest")
        body = await self._read(reply, MAX_MANIFEST, self._limits.first_header)
        return content.manifest(route, caller, reply, body)

    async def _blob(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None, reply: Reply
    ) -> Answer:
        if reply.status == 304:
            reply.body.drop()
            return Answer(304, tuple(response_to_client(reply.headers, kind="blob")), None)
        if caller.is_head:
            length = await self._length(route, target, caller, authorization, reply)
            return content.blob_head(route, reply, length)
        return content.blob(route, target.upstream, caller, reply)

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
        headers = request_to_upstream(caller.headers, authorization=authorization)
        probe: HeaderLines = [
            *(line for line in headers if line[0] not in content.RANGE_HEADERS),
            (b"Range", b"bytes=0-0"),
        ]
        upstream = self._upstreams[target.upstream.name]
        answer: Reply = await upstream.fetch(b"GET", _upstream_target(route, target), probe)
        answer.body.drop()
        return content.total_size(answer)

    def _list(self, route: Route, target: Target, caller: Caller, reply: Reply) -> Answer:
        headers = response_to_client(reply.headers, kind="list")
        path = self._addressing.client_path(target, route)
        for value in reply.lines(b"link"):
            link = rewrite(value, client_path=path, ns=target.ns)
            if link is not None:
                headers.append((b"Link", link.encode("ascii")))
                break
        return content.streamed(target.upstream, caller, reply, headers)

    async def _read(self, reply: Reply, limit: int, seconds: float) -> bytes:
        """A whole body in time, or `UpstreamError`."""

        def late(_: object, allowed: float) -> Failure:
            return Failure(UpstreamTimedOut(f"the answer was not whole within {allowed:g} s"))

        body: bytes = await reply.body.read(limit).addTimeout(seconds, self._clock, late)
        return body

    async def search(self, route: Route, target: Target) -> Answer:
        """Answer ``/v1/search`` for an upstream that has one; raises `RegistryError`."""
        try:
            reply: Reply = await self._upstreams[target.upstream.name].search(route.query)
            if reply.status != 200:
                return await refusal(reply, route.kind)
            body = await self._read(reply, MAX_SEARCH, self._limits.answer)
        except UpstreamError as error:
            raise unavailable(target.upstream.name, error) from None
        headers = response_to_client(reply.headers, kind="list")
        return Answer(200, tuple(headers), len(body), body)


def _scopes(route: Route, target: Target) -> tuple[Scope, ...]:
    if target.repository is None:
        return (Scope("registry", "catalog", ("*",)),)
    return (Scope("repository", str(target.repository), ("pull",)),)


def _upstream_target(route: Route, target: Target) -> bytes:
    """Path and query as upstream spells them, made of parsed pieces only."""
    name = str(target.repository)
    path = {
        Kind.MANIFEST: f"/v2/{name}/manifests/{route.reference}",
        Kind.BLOB: f"/v2/{name}/blobs/{route.reference}",
        Kind.TAGS: f"/v2/{name}/tags/list",
        Kind.REFERRERS: f"/v2/{name}/referrers/{route.reference}",
        Kind.CATALOG: "/v2/_catalog",
    }[route.kind]
    query = b"?" + route.query if route.query else b""
    return path.encode("ascii") + query


def _not_for_us(target: Target) -> RegistryError:
    """An upstream that refuses docxy's own access: no 401, which would ask the client for credentials."""
    return NAME_UNKNOWN.error(
        f"{target.repository or target.upstream.name} does not exist at {target.upstream.name}, "
        "or this mirror's access does not cover it"
    )
