"""
One question of a pull to its upstream: may it be asked now, and how long did it take.

Owns the quota that an upstream's 429 tells of, which the pulls with one of
docxy's own credentials share, and what it says is left for them.  Knows nothing
of what becomes of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from docxy import content
from docxy.answers import Caller
from docxy.interfaces import Clocks, IMetrics, ITokenSource, IUpstream, Reply
from docxy.oci.allowances import parse_pulls, parse_source
from docxy.oci.errors import TOOMANYREQUESTS
from docxy.oci.routes import Kind, Route
from docxy.policy.addressing import Target
from docxy.policy.allowances import Allowance, Allowances
from docxy.policy.limits import Quota

_log = Logger()


class Asking:
    """Asks ``upstreams``, with credentials that ``tokens`` know; both by the upstreams' names."""

    def __init__(
        self,
        upstreams: Mapping[str, IUpstream],
        tokens: Mapping[str, ITokenSource],
        clocks: Clocks,
        metrics: IMetrics,
        allowances: Allowances,
    ) -> None:
        self._upstreams = upstreams
        self._tokens = tokens
        self._clocks = clocks
        self._clock = clocks.steady
        self._metrics = metrics
        self._quota = Quota()
        self._allowances = allowances

    def carry_on(self, other: Asking) -> None:
        """Know, from now on together with ``other``, what it has learnt of quotas."""
        self._quota = other._quota

    def upstream(self, target: Target) -> IUpstream:
        """The upstream that is meant."""
        return self._upstreams[target.upstream.name]

    def tokens(self, target: Target) -> ITokenSource:
        """Where its tokens come from."""
        return self._tokens[target.upstream.name]

    async def ask(
        self,
        route: Route,
        target: Target,
        caller: Caller,
        authorization: bytes | None,
        avoid: frozenset[str],
    ) -> Reply:
        """
        The answer to ``authorization``; hosts in ``avoid`` come last.

        Raises `RegistryError` (429) where the quota is known to be spent, and fails with `UpstreamError`.
        """
        key = self._quota_key(route, target, caller, authorization)
        self._heed_quota(target, key)
        headers = content.request_headers(route, caller, authorization)
        path = content.request_target(route, target)
        asked_at = self._clock.seconds()
        try:
            reply: Reply = await self.upstream(target).fetch(caller.method, path, headers, avoid)
        except BaseException:
            # A client that left among them: whoever waits for this probe would wait for nothing.
            self._quota.release(key)
            raise
        self._metrics.asked(target.upstream.name, route.kind.value, self._clock.seconds() - asked_at)
        self._note_quota(key, reply)
        if route.kind is Kind.MANIFEST and not reply.redirected:
            self._note_allowance(target, self.tokens(target).credential(authorization), reply)
        return reply

    def _note_allowance(self, target: Target, credential: str | None, reply: Reply) -> None:
        """Remember what upstream says is left of ``credential``, where that is ours."""
        left = parse_pulls(reply.header(b"ratelimit-remaining"))
        if left is None or credential is None:
            return
        limit = parse_pulls(reply.header(b"ratelimit-limit"))
        source = parse_source(reply.header(b"docker-ratelimit-source"))
        name, now = target.upstream.name, self._clock.seconds()
        told = Allowance(name, credential, left, limit, source, now)
        if self._allowances.note(told):
            _log.warn(
                "{upstream} has {left} of {limit} pulls left for this mirror's {credential} access",
                upstream=name,
                left=left.count,
                limit="?" if limit is None else limit.count,
                credential=credential,
            )

    def _quota_key(
        self, route: Route, target: Target, caller: Caller, authorization: bytes | None
    ) -> tuple[str, str] | None:
        """Whose pulls this request spends, where they are ours; a HEAD spends none."""
        if route.kind is not Kind.MANIFEST or caller.is_head:
            return None
        credential = self.tokens(target).credential(authorization)
        return None if credential is None else (target.upstream.name, credential)

    def _heed_quota(self, target: Target, key: tuple[str, str] | None) -> None:
        seconds = None if key is None else self._quota.wait(key, self._clock.seconds())
        if key is not None and seconds is not None:
            name = target.upstream.name
            remedy = (
                f"log in to {name} through this mirror, or ask the operator to give it an account"
                if target.upstream.auth == "passthrough"
                else f"wait, or pull from {name} itself"
            )
            raise TOOMANYREQUESTS.error(
                f"{name} has no pulls left for this mirror's {key[1]} access; {remedy}",
                headers=(("Retry-After", str(seconds)),),
            ).because("quota")

    def _note_quota(self, key: tuple[str, str] | None, reply: Reply) -> None:
        if key is None:
            return
        if reply.status == 429 and not reply.redirected:
            told = reply.header(b"retry-after")
            self._quota.remember(key, self._clock.seconds(), told, wall_clock=self._clocks.wall())
        elif reply.status < 400 or reply.status == 404:
            self._quota.forget(key)
        else:
            self._quota.release(key)
