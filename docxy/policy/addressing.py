"""
Which upstream does a request mean, and how are names spelt there?

Owns the order of the four ways to name an upstream (path prefix, ``ns``,
``Host``, default), the secret path, the mapping of names and scopes both ways,
and the limit to ``repositories``.  Knows nothing of connections or tokens.

Two rules guard what is secret: the secret path is taken off before anything
else is looked at and never travels upstream, and credentials go only where the
URL's path or the host name points, never where a scope's text does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote

from docxy.oci.errors import NAME_UNKNOWN, NOT_FOUND, REQUEST_INVALID, RegistryError
from docxy.oci.names import Repository
from docxy.oci.routes import Kind, Route
from docxy.oci.scopes import Scope, add_library, merge
from docxy.policy.access import permit, within
from docxy.policy.hosts import HostName, parse_host
from docxy.policy.origins import Origin
from docxy.policy.secret import SecretPath
from docxy.registries import canonical
from docxy.settings.values import Settings, UpstreamSettings

NamedBy = Literal["prefix", "ns", "host", "default"]


@dataclass(frozen=True, slots=True)
class Target:
    """
    What a request means.

    ``repository`` is spelt as upstream spells it.  ``shown_prefix`` is what the
    client put in front of it inside the name (``"ghcr.io/"``), ``base`` what it
    put in front of ``/v2`` (``"/hub"``); both are the client's own text and may
    hold the secret, so that neither belongs in a log.
    """

    upstream: UpstreamSettings
    repository: Repository | None
    shown_prefix: str = field(repr=False)
    base: str = field(repr=False)
    ns: str | None
    secret: str = field(repr=False)  # the one that was shown; empty: none
    named_by: NamedBy


@dataclass(frozen=True, slots=True)
class TokenTarget:
    """Whom to ask for a token, for which scopes, and whether with the client's credentials."""

    upstream: UpstreamSettings
    scopes: tuple[Scope, ...]
    credentials_allowed: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """How far a path or scope has been read: what is left of it, and what was found in front."""

    segments: tuple[str, ...]  # in front of /v2
    name: str | None
    shown_prefix: str = ""
    secret: str = field(default="", repr=False)
    upstream: UpstreamSettings | None = None


class Addressing:
    """The closed list of upstreams, and every way to mean one of them."""

    def __init__(self, settings: Settings) -> None:
        upstreams = settings.upstreams
        self._default = upstreams[0]
        self._secret = SecretPath.of(settings)
        self._by_prefix = {prefix.lower(): each for each in upstreams for prefix in each.prefixes}
        self._by_name = {each.name.lower(): each for each in upstreams}
        self._by_host = {parse_host(host): each for each in upstreams for host in each.hosts}
        self._by_registry = {registry: each for each in reversed(upstreams) for registry in _registries(each)}
        self._by_registry |= {canonical(name): each for name, each in self._by_name.items()}

    def target(self, route: Route, host: str | None) -> Target:
        """
        What the request means; ``host`` is the ``Host`` header.

        Raises `RegistryError`: 404 for an upstream that is not listed or a
        secret that is not shown, 400 for a prefix that contradicts ``ns`` or an
        impossible name, 403 for what ``repositories`` leaves out.
        """
        reading = self._without_secret(_Reading(route.prefix, route.name))
        bare_ping = route.kind is Kind.PING and not route.prefix
        if self._secret.is_set and not (reading.secret or bare_ping):
            raise NOT_FOUND.error()
        query = unquote(route.query.decode("latin-1"))
        self._keep_secret(*reading.segments, reading.name or "", str(route.reference), str(route.ns), query)
        reading = self._without_prefix(reading)
        upstream, named_by = self._choose(reading, route.ns, host)
        repository = _repository(upstream, reading.name, guessed=named_by in ("host", "default"))
        permit(upstream, route.kind, repository)
        return Target(
            upstream=upstream,
            repository=repository,
            shown_prefix=reading.shown_prefix,
            base="".join(f"/{segment}" for segment in route.prefix),
            ns=route.ns,
            secret=reading.secret,
            named_by=named_by,
        )

    def token_target(
        self, route: Route, host: str | None, scopes: tuple[Scope, ...], others: Iterable[str] = ()
    ) -> TokenTarget:
        """
        Whom a token request means: path, then the scopes' first component, then ``Host``, then default.

        Scopes of repositories that are out of bounds are dropped (less access
        than asked for is no error); ``others`` are the request's other
        parameters.  Raises `RegistryError`: 404 for an unknown
        upstream or a secret that is not shown, 400 for scopes of two upstreams.
        """
        path = self._without_secret(_Reading(_front(route), None))
        repositories = (scope for scope in scopes if scope.is_repository)
        readings = {scope: self._without_secret(_Reading((), scope.name)) for scope in repositories}
        self._check_token_secret(path, readings.values())
        left = (scope.renamed(readings[scope].name or "") if scope in readings else scope for scope in scopes)
        self._keep_secret(str(route.token_upstream), str(route.ns), *map(str, left), *others)
        near = self._host_upstream(host) or self._default
        if route.token_upstream is None:
            readings = {scope: self._scope_prefix(near, reading) for scope, reading in readings.items()}
            upstream = _one_of(near, readings.values())
        else:
            upstream = self._path_upstream(route.token_upstream)
            readings = {scope: self._scope_at(upstream, reading) for scope, reading in readings.items()}
        return TokenTarget(
            upstream=upstream,
            scopes=_mapped(upstream, scopes, readings),
            credentials_allowed=route.token_upstream is not None or upstream.name == near.name,
        )

    def challenge_realm_path(self, target: Target | None) -> str:
        """
        The path of the realm in a challenge for this target; None: a ping that means no one.

        It names the upstream, so that credentials go there, wherever the client
        said which registry it talks to.  A prefix inside the name says that of
        the image alone: the client's credentials are those for our host name.
        """
        if target is None:
            return "/auth/token"
        front = f"/{target.secret}" if target.secret else ""
        in_name = target.named_by == "prefix" and target.ns is None and target.base in ("", front)
        plain = in_name or (
            target.named_by in ("host", "default") and target.upstream.name == self._default.name
        )
        return f"{front}/auth/token" if plain else f"{front}/auth/{target.upstream.name}/token"

    def client_scope(self, target: Target, scope_text: str) -> str:
        """Upstream's scopes, separated by spaces, with repositories named as this client names them."""
        front = target.shown_prefix
        scopes = map(Scope.parse, scope_text.split())
        return " ".join(
            str(each.renamed(front + each.name) if each.is_repository else each) for each in scopes
        )

    # The secret

    def _without_secret(self, reading: _Reading) -> _Reading:
        """Take the secret off the front of path and name."""
        if reading.segments and self._secret.equals(reading.segments[0]):
            reading = replace(reading, segments=reading.segments[1:], secret=reading.segments[0])
        first, rest = _split(reading.name)
        if rest is not None and self._secret.equals(first):
            reading = replace(reading, name=rest, shown_prefix=f"{first}/", secret=reading.secret or first)
        return reading

    def _keep_secret(self, *left: str) -> None:
        """Raise 404 where the secret stands in what is left: neither upstream nor a log must learn it."""
        if self._secret.is_in(*left):
            raise NOT_FOUND.error()

    def _check_token_secret(self, path: _Reading, scopes: Iterable[_Reading]) -> None:
        """Raise 404 unless the path shows the secret, or there are repository scopes and each shows it."""
        shown = [scope.secret for scope in scopes]
        if path.segments:
            raise NOT_FOUND.error()
        if self._secret.is_set and not path.secret and not (shown and all(shown)):
            raise NOT_FOUND.error()

    # The upstream

    def _without_prefix(self, reading: _Reading) -> _Reading:
        """Take the prefix that names an upstream off the path or, where the path has none, off the name."""
        if reading.segments:
            prefix = "/".join(reading.segments)
            upstream = self._by_prefix.get(prefix.lower())
            if upstream is None:
                raise _unknown(prefix)
            return replace(reading, segments=(), upstream=upstream)
        first, rest = _split(reading.name)
        upstream = self._by_prefix.get(first.lower())
        if rest is None or upstream is None:
            return reading
        shown = f"{reading.shown_prefix}{first}/"
        return replace(reading, name=rest, shown_prefix=shown, upstream=upstream)

    def _choose(
        self, reading: _Reading, ns: str | None, host: str | None
    ) -> tuple[UpstreamSettings, NamedBy]:
        by_ns = None if ns is None else self._by_registry.get(canonical(ns))
        if ns is not None and by_ns is None:
            is_stranger = self._secret.is_set and not reading.secret
            raise NOT_FOUND.error() if is_stranger else _unknown(ns)
        if reading.upstream is not None:
            if ns is not None and canonical(ns) not in _registries(reading.upstream):
                raise REQUEST_INVALID.error(f"the path names {reading.upstream.name}, and ns names {ns}")
            return reading.upstream, "prefix"
        if by_ns is not None:
            return by_ns, "ns"
        by_host = self._host_upstream(host)
        return (self._default, "default") if by_host is None else (by_host, "host")

    def _host_upstream(self, host: str | None) -> UpstreamSettings | None:
        named = parse_host(host)
        if named is None:
            return None
        return self._by_host.get(named) or self._by_host.get(HostName(named.name, None))

    def _path_upstream(self, text: str) -> UpstreamSettings:
        upstream = self._by_name.get(text.lower()) or self._by_prefix.get(text.lower())
        if upstream is None:
            raise _unknown(text)
        return upstream

    # Scopes

    def _scope_prefix(self, near: UpstreamSettings, reading: _Reading) -> _Reading:
        """Let the scope's first component name the upstream; ``near`` is meant where it names none."""
        found = self._without_prefix(reading)
        if found.upstream is not None or _foreign(near, reading.name):
            return found
        return replace(found, upstream=near)

    def _scope_at(self, upstream: UpstreamSettings, reading: _Reading) -> _Reading:
        """
        Take the prefix off where it is that of the upstream which the path named already.

        Any other first component is a part of the name there: clients that were
        given the prefix in the path ask for the plain name.
        """
        found = self._without_prefix(reading)
        return found if found.upstream == upstream else replace(reading, upstream=upstream)


def client_path(target: Target, route: Route) -> str:
    """The path under which this client asked for a list (tags, referrers, catalog), for its next page."""
    if route.name is None:
        return f"{target.base}/v2/_catalog"
    if route.kind is Kind.TAGS:
        return f"{target.base}/v2/{route.name}/tags/list"
    return f"{target.base}/v2/{route.name}/referrers/{route.reference}"


def _front(route: Route) -> tuple[str, ...]:
    """A token route's segments without the upstream's."""
    return route.prefix if route.token_upstream is None else route.prefix[:-1]


def _split(name: str | None) -> tuple[str, str | None]:
    first, slash, rest = (name or "").partition("/")
    return first, rest if slash else None


def _registries(upstream: UpstreamSettings) -> set[str]:
    """What ``ns`` may call this upstream, by canonical name: its own name, and where its URLs lead."""
    authorities = (str(Origin.of(url)).partition("://")[2] for url in upstream.urls)
    return {canonical(name) for name in (upstream.name.lower(), *authorities)}


def _unknown(text: str) -> RegistryError:
    return NAME_UNKNOWN.error(
        f'{text} is not mirrored here; the operator can add it: [[upstream]] name = "{text}"'
    )


def _foreign(upstream: UpstreamSettings, name: str | None) -> bool:
    """Whether the first component can only be a registry's host name that we do not know."""
    first, rest = _split(name)
    return rest is not None and (":" in first or (upstream.library and "." in first))


def _repository(upstream: UpstreamSettings, name: str | None, *, guessed: bool) -> Repository | None:
    if name is None:
        return None
    if guessed and _foreign(upstream, name):
        raise _unknown(_split(name)[0])
    return _spelt(upstream, name)


def _spelt(upstream: UpstreamSettings, name: str) -> Repository:
    return Repository.parse(add_library(name) if upstream.library else name)


def _one_of(near: UpstreamSettings, readings: Iterable[_Reading]) -> UpstreamSettings:
    named = {reading.upstream.name: reading.upstream for reading in readings if reading.upstream is not None}
    if len(named) > 1:
        raise REQUEST_INVALID.error(f"one token cannot be for several upstreams: {', '.join(sorted(named))}")
    return next(iter(named.values()), near)


def _mapped(
    upstream: UpstreamSettings, scopes: tuple[Scope, ...], readings: dict[Scope, _Reading]
) -> tuple[Scope, ...]:
    """The scopes as upstream spells them, other kinds untouched, without those out of bounds."""
    mapped = (_renamed(upstream, scope, readings[scope]) if scope in readings else scope for scope in scopes)
    return merge(scope for scope in mapped if scope is not None)


def _renamed(upstream: UpstreamSettings, scope: Scope, reading: _Reading) -> Scope | None:
    if reading.upstream is None or not reading.name:
        return None
    try:
        repository = _spelt(upstream, reading.name)
    except RegistryError:
        return None  # a name that no request here can bear
    return scope.renamed(str(repository)) if within(upstream, repository) else None
