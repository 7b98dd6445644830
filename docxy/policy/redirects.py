"""
May this redirect be followed, and does it leave the origin?

Owns the resolution of ``Location`` and the judgement on each hop.  Follows
nothing itself; what a hop's name resolves to is judged in
`docxy.policy.addresses`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from docxy.policy.hosts import parse_host
from docxy.policy.origins import Origin, UrlRefused, check_characters, redact
from docxy.settings.values import UpstreamSettings

__all__ = ["MAX_HOPS", "Hop", "RedirectRefused", "next_hop", "redact"]

MAX_HOPS = 5

_HTTPS = 443  # another port of a host is another service, and has to be named

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class RedirectRefused(Exception):
    """The redirect may not be followed; the text says why, without the query, and what would help."""


@dataclass(frozen=True, slots=True)
class Hop:
    """
    Where to go next.

    ``same_origin`` False: credentials and cookies are dropped, for good.
    """

    url: str
    same_origin: bool


def next_hop(current_url: str, location: str | None, upstream: UpstreamSettings, hops: int) -> Hop:
    """
    The URL that a redirect leads to, its query byte for byte as sent, its fragment dropped.

    ``hops`` counts the redirects already followed.  Raises `RedirectRefused`.
    """
    if hops >= MAX_HOPS:
        raise RedirectRefused(f"more than {MAX_HOPS} redirects, the last at {redact(current_url)}")
    try:
        url = _resolve(current_url, location or "")
        current, target = Origin.of(current_url), Origin.of(url)
    except UrlRefused as refused:
        raise RedirectRefused(f"{redact(current_url)} redirects to an unusable URL: {refused}") from None
    _check(current, target, url, upstream)
    return Hop(url, current == target)


def _check(current: Origin, target: Origin, url: str, upstream: UpstreamSettings) -> None:
    own = [Origin.of(configured) for configured in upstream.urls]
    if target.scheme != "https" and (target not in own or current.scheme == "https"):
        raise RedirectRefused(f"redirect to {redact(url)} is refused: not https")
    if target in own or any(target.host == origin.host and target.port == _HTTPS for origin in own):
        return
    if not any(_matches(target, pattern.lower()) for pattern in upstream.redirects):
        raise RedirectRefused(
            f"redirect to {redact(url)} is refused: {target.host} is not among the hosts of "
            f'upstream {upstream.name}; if it is right, add it to its redirects = ["…"]'
        )


def _matches(target: Origin, pattern: str) -> bool:
    if pattern.startswith("*."):
        suffix = pattern[1:]
        is_below = target.host.endswith(suffix) and len(target.host) > len(suffix)
        return is_below and target.port == _HTTPS and not target.is_literal
    if pattern == target.host:
        return True
    named = parse_host(pattern)
    return named is not None and named.name == target.host and named.port in (None, target.port)


def _resolve(current_url: str, location: str) -> str:
    """RFC 3986 §5.2, but for what an absolute path or URL says: that stays as it was sent."""
    check_characters(location)
    reference = location.partition("#")[0]
    if not reference:
        raise UrlRefused("no Location")
    if _SCHEME.match(reference):
        return reference
    scheme, _, rest = current_url.partition("#")[0].partition("://")
    before_query = rest.partition("?")[0]
    authority, slash, path = before_query.partition("/")
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    if reference.startswith("/"):
        return f"{scheme}://{authority}{reference}"
    if reference.startswith("?"):
        return f"{scheme}://{authority}/{path}{reference}"
    return f"{scheme}://{authority}{_merge(slash + path, reference)}"


def _merge(base_path: str, reference: str) -> str:
    """A relative path after the base's directory, without dot segments (RFC 3986 §5.2.3, §5.2.4)."""
    path, mark, query = reference.partition("?")
    kept: list[str] = []
    segments = [*base_path.split("/")[1:-1], *path.split("/")]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept) + mark + query
