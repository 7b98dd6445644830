"""
One upstream, tried from end to end as a pull would: itself, its realm, its CDN, its clock, its quota.

Asks by docxy's own parts.  Each step that fails ends the trial: what comes
after it could not be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from docxy.cli.findings import Check, Finding, failed, fine, warning
from docxy.cli.samples import Sample
from docxy.interfaces import (
    Authority,
    ITokenSource,
    IUpstream,
    Reply,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from docxy.oci.allowances import parse_pulls
from docxy.oci.challenges import choose, parse
from docxy.oci.errors import RegistryError
from docxy.oci.names import Digest
from docxy.oci.scopes import Scope
from docxy.oci.verify import DigestMismatch, Verifier
from docxy.policy.realms import RealmRefused, check_realm
from docxy.settings.values import UpstreamSettings
from docxy.upstream.authority import PING_HEADERS

MAX_MANIFEST = 4 << 20  # bytes, as the specification says
MAX_BLOB = 4 << 20  # bytes; the smallest blob of an image is larger where it is no image
LATE, WRONG = 30.0, 300.0  # seconds that clocks may differ before it is told, before it breaks things

_INDEX = (
    b"application/vnd.oci.image.index.v1+json",
    b"application/vnd.docker.distribution.manifest.list.v2+json",
)
_IMAGE = (
    b"application/vnd.oci.image.manifest.v1+json",
    b"application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = tuple((b"Accept", kind) for kind in (*_INDEX, *_IMAGE))
_PLATFORM = {"os": "linux", "architecture": "amd64"}


class Stopped(Exception):
    """The trial ends here; ``finding`` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


@dataclass(slots=True)
class Probe:
    """
    The trial of the upstream that ``settings`` describe.

    ``ways`` are its URLs, each with what asks it alone, the registry itself
    last; ``upstream`` asks as a pull does.  ``wall`` tells the seconds since 1970.
    """

    settings: UpstreamSettings
    ways: Mapping[str, IUpstream]
    upstream: IUpstream
    tokens: ITokenSource
    sample: Sample | None
    wall: Callable[[], float]
    found: list[Finding] = field(default_factory=list)

    async def run(self) -> list[Finding]:
        """All that was found, in the order of a pull."""
        try:
            await self._try()
        except Stopped as stopped:
            self.found.append(stopped.finding)
        return self.found

    async def _try(self) -> None:
        *mirrors, registry = self.ways
        for url in mirrors:
            (await self._ping(url)).body.drop()
        reply = await self._ping(registry)
        reply.body.drop()
        self._clock(reply)
        authority = await self.tokens.authority()
        self._judge(authority, reply)
        if self.sample is not None:
            await self._pull(self.sample, authority)
        elif authority.kind in ("bearer", "none"):
            if authority.kind == "bearer":
                await self._token_server(authority)
            text = "no image to try it with is known, and so nobody was asked for a manifest and a blob"
            advice = f"name one that all may pull: --image {self.settings.name}/REPOSITORY:TAG"
            self._add(warning("image", self.settings.name, text, advice))

    def _add(self, finding: Finding) -> None:
        self.found.append(finding)

    async def _ping(self, url: str) -> Reply:
        subject = f"{self.settings.name} {url}"
        try:
            reply: Reply = await self.ways[url].ping(PING_HEADERS)
        except UpstreamError as error:
            raise Stopped(failed("upstream", subject, str(error), remedy(error, url))) from None
        if reply.status not in (200, 401):
            reply.body.drop()
            text = f"GET /v2/ was answered with status {reply.status}"
            raise Stopped(failed("upstream", subject, text, "see that the URL is a registry's"))
        at = f" at {reply.address}" if reply.address else ""
        self._add(
            fine("upstream", subject, f"answers{at}" + (", TLS is right" if url.startswith("https:") else ""))
        )
        return reply

    def _clock(self, reply: Reply) -> None:
        try:
            told = parsedate_to_datetime(reply.header(b"date") or "").timestamp()
        except ValueError:
            return
        skew = self.wall() - told
        text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {reply.host}"
        remedy = "set the clock of this machine: timedatectl set-ntp true"
        if abs(skew) >= WRONG:
            self._add(failed("clock", self.settings.name, text, remedy))
        elif abs(skew) >= LATE:
            self._add(warning("clock", self.settings.name, text, remedy))
        else:
            self._add(fine("clock", self.settings.name, text))

    def _judge(self, authority: Authority, reply: Reply) -> None:
        """Who gives tokens, and whether the registry says the same now."""
        name = self.settings.name
        if authority.kind == "unknown":
            problem, _, advice = authority.problem.partition("; ")
            advice = advice or f"see what it answers: curl -i {self.settings.urls[-1]}/v2/"
            raise Stopped(failed("realm", name, problem, advice))
        challenge = choose(parse(reply.lines(b"www-authenticate")))
        told = challenge.get("realm") if challenge is not None and challenge.scheme == "bearer" else None
        try:
            if told and told != authority.realm:
                check_realm(told, self.settings)
        except RealmRefused as refused:
            problem, _, advice = str(refused).partition("; ")
            raise Stopped(failed("realm", name, problem, advice)) from None
        words = {"none": "needs no token", "basic": "takes user and password"}
        self._add(fine("realm", name, words.get(authority.kind, f"tokens come from {authority.realm}")))

    async def _pull(self, sample: Sample, authority: Authority) -> None:
        headers = await self._authorization(sample)
        image = f"{self.settings.name}/{sample}"
        reply = await self._get(image, f"manifests/{sample.reference}", (*_ACCEPT, *headers), sample)
        self._quota(reply)
        manifest = await self._document(image, reply)
        child = _child(manifest)
        if child is not None:
            reply = await self._get(image, f"manifests/{child}", (*_ACCEPT, *headers), sample)
            manifest = await self._document(image, reply)
        self._add(fine("manifest", image, f"came from {reply.host}"))
        smallest = _smallest(manifest)
        if smallest is not None:
            await self._blob(image, sample, smallest, headers)

    async def _token_server(self, authority: Authority) -> None:
        """Whether it can be met: without an image there is nothing to have a token for."""
        name, is_tls = self.settings.name, (authority.realm or "").startswith("https:")
        answers = "the token server answers" + (", TLS is right" if is_tls else "")
        try:
            await self.tokens.bearer(())
        except UpstreamRefused as error:
            if self.settings.account is not None:
                advice = "see that the account is right; some refuse all who name no image: --image tells"
                raise Stopped(warning("token", name, str(error), advice)) from None
        except UpstreamError as error:
            raise Stopped(self._no_token(error)) from None
        self._add(fine("token", name, answers))

    def _no_token(self, error: UpstreamError) -> Finding:
        advice = "see that this machine reaches the token server, and that the account is right"
        return failed("token", self.settings.name, str(error), advice)

    async def _authorization(self, sample: Sample) -> tuple[tuple[bytes, bytes], ...]:
        scope = Scope("repository", str(sample.repository), ("pull",))
        try:
            value = await self.tokens.bearer((scope,))
        except UpstreamError as error:
            raise Stopped(self._no_token(error)) from None
        if value is not None:
            self._add(fine("token", self.settings.name, f"given for {sample.repository}"))
        return () if value is None else ((b"Authorization", value),)

    async def _get(
        self, image: str, path: str, headers: Sequence[tuple[bytes, bytes]], sample: Sample
    ) -> Reply:
        target = f"/v2/{sample.repository}/{path}".encode("ascii")
        check: Check = "manifest" if path.startswith("manifests/") else "blob"
        asked = (*headers, *PING_HEADERS)
        try:
            reply: Reply = await self.upstream.fetch(b"GET", target, asked)
        except UpstreamError as error:
            problem, _, advice = str(error).partition("; ")
            raise Stopped(
                failed(check, image, problem, advice or remedy(error, self.settings.urls[-1]))
            ) from None
        if reply.status == 200:
            return reply
        reply.body.drop()
        text = f"{reply.host} answered with status {reply.status}"
        if reply.status in (401, 403, 404) and not sample.is_chosen and check == "manifest":
            advice = f"name another that all may pull: --image {self.settings.name}/REPOSITORY:TAG"
            raise Stopped(warning(check, image, text, advice))
        raise Stopped(
            failed(check, image, text, _STATUS.get(reply.status, "see what the registry says of it"))
        )

    async def _document(self, image: str, reply: Reply) -> dict[str, Any]:
        try:
            found = json.loads(await reply.body.read(MAX_MANIFEST))
        except (UpstreamError, ValueError, RecursionError) as error:
            text = str(error) if isinstance(error, UpstreamError) else "is no JSON"
            advice = f"see who answers there: curl -i {self.settings.urls[-1]}/v2/"
            raise Stopped(failed("manifest", image, text, advice)) from None
        return found if isinstance(found, dict) else {}

    def _quota(self, reply: Reply) -> None:
        left, limit = (parse_pulls(reply.header(b"ratelimit-" + word)) for word in (b"remaining", b"limit"))
        if left is None:
            return
        window = left.window or (limit.window if limit else None)
        of_all = f" of {limit.count}" if limit else ""
        text = f"{left.count}{of_all} pulls left" + (f" in {window} s" if window else "")
        if left.count:
            self._add(fine("quota", self.settings.name, text))
        else:
            advice = 'wait, or have docxy log in: auth = "own", username and password_file'
            self._add(warning("quota", self.settings.name, text, advice))

    async def _blob(
        self, image: str, sample: Sample, digest: Digest, headers: Sequence[tuple[bytes, bytes]]
    ) -> None:
        reply = await self._get(image, f"blobs/{digest}", headers, sample)
        verifier = Verifier(digest)
        try:
            verifier.feed(await reply.body.read(MAX_BLOB))
            verifier.finish()
        except (UpstreamError, DigestMismatch) as error:
            advice = "somebody in between changes or cuts what passes: try another way to the registry"
            raise Stopped(failed("blob", image, f"from {reply.host}: {error}", advice)) from None
        self._add(fine("blob", image, f"{verifier.size} bytes came from {reply.host}, and are right"))


_STATUS: Mapping[int, str] = {
    401: "see that the account may pull it",
    403: "see that the account may pull it, and that the registry serves this country",
    404: "name one that is there: --image",
    429: 'wait, or have docxy log in: auth = "own", username and password_file',
}


def remedy(error: UpstreamError, url: str) -> str:
    """What to do about an upstream that could not be asked."""
    text, host = str(error), url.partition("://")[2].partition("/")[0]
    if text.startswith("TLS failed"):
        return (
            'for an authority of your own set ca = "FILE" in that [[upstream]]; else see the clock, '
            f"ca-certificates, and who answers: openssl s_client -connect {host}"
        )
    if "none of its addresses is public" in text:
        return "name the host in full in url, or its network in network.allow"
    if "name" in text and isinstance(error, UpstreamUnreachable):
        return f"see that this machine finds it: getent hosts {host}"
    return f"see that this machine reaches it: curl -v {url}/v2/"


def _child(manifest: Mapping[str, Any]) -> Digest | None:
    """The image of an index to try: that of linux/amd64, else the first; None where it is no index."""
    entries = [entry for entry in _entries(manifest, "manifests") if _digest(entry) is not None]
    fitting = [entry for entry in entries if _PLATFORM.items() <= _platform(entry).items()]
    return next((_digest(entry) for entry in (*fitting, *entries)), None)


def _smallest(manifest: Mapping[str, Any]) -> Digest | None:
    """The smallest blob that can be verified, where it is small enough."""
    config = manifest.get("config")
    blobs = [*([config] if isinstance(config, dict) else []), *_entries(manifest, "layers")]
    sized = [
        (size, digest)
        for one in blobs
        if isinstance(size := one.get("size"), int) and (digest := _digest(one))
    ]
    return min(
        ((size, d) for size, d in sized if 0 < size <= MAX_BLOB), default=(0, None), key=lambda one: one[0]
    )[1]


def _entries(manifest: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = manifest.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _platform(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = entry.get("platform")
    return found if isinstance(found, dict) else {}


def _digest(entry: Mapping[str, Any]) -> Digest | None:
    try:
        found = Digest.parse(str(entry.get("digest")))
    except RegistryError:
        return None
    return found if found.verifiable else None
