"""
All wiring in one place.

Knows every part by its constructor and decides nothing about a pull.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import time
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.web.resource import IResource

from docxy.auth import Auth
from docxy.daemon import Listener, Load, MirrorService, pair_of
from docxy.handover import Succession
from docxy.inheritance import inherited
from docxy.interfaces import Clocks
from docxy.mirror import Mirror
from docxy.oci.routes import Kind
from docxy.policy.addressing import Addressing
from docxy.policy.hosts import parse_host
from docxy.policy.limits import ConnectionCounter, RelayCounter
from docxy.settings.values import Settings
from docxy.tls.client import ClientTrust
from docxy.tls.endpoints import is_tls, parse_listener, port_of
from docxy.tls.shown import Certificates
from docxy.upstream.agent import make_agent
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.fetch import Upstream
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.parallel import body_maker
from docxy.upstream.tokens import TokenSource
from docxy.web.challenge import ChallengeResource
from docxy.web.front import Front
from docxy.web.hashing import InThread
from docxy.web.health import HealthResource
from docxy.web.logins import Logins
from docxy.web.page import front_page
from docxy.web.redirect import RedirectResource, to_redirect
from docxy.web.repo import Relaying, RepoResource
from docxy.web.request import MirrorRequest
from docxy.web.search import SearchResource
from docxy.web.site import MirrorSite, url_tree
from docxy.web.token import TokenResource


def _now() -> datetime:
    return datetime.now(UTC)


def build_service(reactor: Any, settings: Settings, load: Load | None = None) -> IService:
    """
    The whole mirror, bound to its listeners.

    ``load`` reads the settings anew for a reload.  Raises `SettingsError`.
    """
    certificates = Certificates(_now, pair_of(settings))
    front = Front(settings.server, certificates.names, reactor)
    connections = ConnectionCounter(settings.limits.connections, settings.limits.connections_per_client)
    mirror_site = _mirror_site(reactor, settings, front, connections)
    redirect_site = _redirect_site(reactor, settings, front, connections)
    inheritance = inherited(os.environ)
    listeners = [
        Listener(text, key, parse_listener(inheritance.reactor(reactor, text), text, certificates, key), site)
        for key, texts, site in (
            ("server.listen", settings.server.listen, mirror_site),
            ("server.redirect", settings.server.redirect, redirect_site),
        )
        for text in texts
    ]
    succession = Succession(reactor, inheritance, sys.argv)
    service = MirrorService(reactor, settings, listeners, certificates, load, succession)
    service.bind()
    inheritance.close_rest()
    return service


def https_url(base_url: str, listen: Sequence[str]) -> str:
    """Where the TLS listener of ``listen`` is met, by who met a plain one at ``base_url``."""
    host = parse_host(base_url.partition("://")[2])
    assert host is not None  # it was judged when it became a base URL
    name = f"[{host.name}]" if ":" in host.name else host.name
    ports = [port_of(listener) for listener in listen if is_tls(listener)]
    port = ports[0] if ports else None
    return f"https://{name}" if port in (None, 443) else f"https://{name}:{port}"


def _mirror_site(
    reactor: Any, settings: Settings, front: Front, connections: ConnectionCounter
) -> MirrorSite:
    ledger = TokenLedger()
    clocks = Clocks(reactor, time)
    upstreams: dict[str, Upstream] = {}
    tokens: dict[str, TokenSource] = {}
    for each in settings.upstreams:
        agent = make_agent(reactor, each, ClientTrust(each.ca, setting=f"upstream[{each.name}].ca"))
        upstream = upstreams[each.name] = Upstream(each, settings.limits, agent, reactor)
        authority = AuthoritySource(each, upstream, reactor)
        tokens[each.name] = TokenSource(each, settings.limits, agent, authority, ledger, clocks)
    addressing = Addressing(settings)
    auth = Auth(settings, addressing, upstreams, tokens, clocks)
    mend = body_maker(settings.limits, reactor)
    mirror = Mirror(settings.limits, upstreams, tokens, auth, mend, clocks)
    relays = RelayCounter(settings.limits.relays, settings.limits.relays_per_client)
    relaying = Relaying(relays, reactor, _threads(reactor), settings.limits.client_stall)
    repo = RepoResource(front, addressing, mirror, relaying)
    asks = RelayCounter(settings.limits.asks, settings.limits.asks_per_client, "requests to registries")
    search = SearchResource(front, addressing, mirror, asks)
    by_kind: dict[Kind, IResource] = dict.fromkeys(Kind, repo) | {
        Kind.PING: ChallengeResource(front, addressing, auth, asks),
        Kind.TOKEN: TokenResource(front, auth, asks, Logins(reactor)),
        Kind.V1_PING: search,
        Kind.V1_SEARCH: search,
    }
    health = HealthResource(front, upstreams, relays, reactor)
    find = url_tree(front, settings.server.secret_path, by_kind, health, front_page(front))
    return MirrorSite(settings, front, find, connections, reactor)


def _threads(reactor: Any) -> InThread:
    """Run a function in the reactor's threads."""

    def in_thread(work: Callable[[], None]) -> Deferred[None]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return in_thread


def _redirect_site(
    reactor: Any, settings: Settings, front: Front, connections: ConnectionCounter
) -> MirrorSite:
    def public_url(request: MirrorRequest) -> str:
        public = [url for url in settings.server.public_urls if url.startswith("https:")]
        return public[0] if public else https_url(front.caller(request).base_url, settings.server.listen)

    # Everybody may be told where the mirror is; who may use it is judged there.
    open_settings = replace(settings, server=replace(settings.server, allow=()))
    open_front = Front(open_settings.server, front.certificate_names, reactor)
    find = to_redirect(RedirectResource(front, public_url))
    return MirrorSite(settings, open_front, find, connections, reactor)
