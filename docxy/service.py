"""
All wiring in one place.

Knows every part by its constructor and decides nothing about a pull.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import time
from typing import Any

from twisted.application.service import IService
from twisted.web.resource import IResource

from docxy.acme.obtained import Obtained
from docxy.acme.renewal import Renewal
from docxy.asking import Asking
from docxy.auth import Auth
from docxy.daemon import Listener, Load, MirrorService, pair_of
from docxy.handover import Succession
from docxy.inheritance import inherited
from docxy.interfaces import Clocks
from docxy.metrics import Metrics, Values
from docxy.mirror import Mirror
from docxy.notify import notifier
from docxy.oci.routes import Kind
from docxy.overview import Overview
from docxy.policy.addressing import Addressing
from docxy.policy.allowances import Allowances
from docxy.policy.hosts import parse_host
from docxy.policy.limits import ConnectionCounter, RelayCounter
from docxy.process import versions
from docxy.settings.values import AccessSettings, Settings
from docxy.tls.bulk import keep_large_blocks
from docxy.tls.client import ClientTrust
from docxy.tls.endpoints import is_tls, parse_listener, port_of
from docxy.tls.expiry import counted
from docxy.tls.shown import Certificates
from docxy.upstream.agent import UpstreamAgent, make_agent
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.fetch import Upstream
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.parallel import body_maker
from docxy.upstream.tokens import TokenSource
from docxy.usage.usage import Usage
from docxy.web.admin import AdminResource, AdminSite, metrics_page, status_page
from docxy.web.challenge import ChallengeResource
from docxy.web.front import Front
from docxy.web.health import HealthResource
from docxy.web.logins import BasicLogins, Logins
from docxy.web.page import front_page
from docxy.web.redirect import RedirectResource, to_redirect
from docxy.web.repo import Relaying, RepoResource
from docxy.web.request import MirrorRequest
from docxy.web.search import SearchResource
from docxy.web.site import MirrorSite, Served, url_tree
from docxy.web.token import TokenResource
from docxy.web.traffic import Traffic


def _now() -> datetime:
    return datetime.now(UTC)


def build_service(reactor: Any, settings: Settings, load: Load | None = None) -> IService:
    """
    The whole mirror, bound to its listeners.

    ``load`` reads the settings anew for a reload.  Raises `SettingsError`.
    """
    bulk = settings.tls.bulk
    if bulk:
        keep_large_blocks()
    wiring = Wiring(reactor, settings)
    admin = () if settings.admin.listen is None else (settings.admin.listen,)
    inheritance = inherited(os.environ)

    def listener(text: str, key: str, site: MirrorSite) -> Listener:
        opening = inheritance.reactor(reactor, text)
        return Listener(text, key, parse_listener(opening, text, wiring.certificates, key, bulk), site)

    listeners = [
        listener(text, key, site)
        for key, texts, site in (
            ("server.listen", settings.server.listen, wiring.mirror_site),
            ("server.redirect", settings.server.redirect, wiring.redirect_site),
            ("admin.listen", admin, wiring.admin_site),
        )
        for text in texts
    ]
    succession = Succession(reactor, inheritance, sys.argv, notifier(os.environ, reactor))
    service = MirrorService(reactor, settings, listeners, wiring, load, succession)
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


@dataclass(frozen=True, slots=True)
class _Outwards:
    """The upstreams of some settings, and what asks them; a reload replaces it whole."""

    upstreams: dict[str, Upstream]
    tokens: dict[str, TokenSource]
    agents: tuple[UpstreamAgent, ...]
    addressing: Addressing
    auth: Auth
    mirror: Mirror


class Wiring:
    """
    Every part of the process: those that stay as long as it runs, and those that a reload replaces.

    What counts clients stays, so that no reload gives anybody more than the limits.
    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        limits = settings.limits
        self.metrics = Metrics(versions())
        self.usage = Usage(settings.access, Clocks(reactor, time))
        self.traffic = Traffic(self.metrics, self.usage.sent)
        self._allowances = Allowances()
        self._reactor = reactor
        self._obtained = None if settings.acme is None else Obtained(settings.acme, _now)
        if self._obtained is None:
            self.certificates = Certificates(_now, pair_of(settings))
        else:
            self.certificates = Certificates(_now, self._obtained.pair, self._obtained.coming)
        self.renewal = self._renewal(settings)
        self.relays = RelayCounter(limits.relays, limits.relays_per_client)
        self._asks = RelayCounter(limits.asks, limits.asks_per_client, "requests to registries")
        self._connections = ConnectionCounter(limits.connections, limits.connections_per_client)
        self._logins = Logins(reactor)
        self._ledger = TokenLedger()
        self._outwards = self._reach_out(settings)
        self._overview = self._overlook()
        self.mirror_site = MirrorSite(self._mirrored(settings, self._outwards), self._connections, reactor)
        self.redirect_site = MirrorSite(self._redirected(settings), self._connections, reactor)
        self.admin_site = AdminSite(self._administered(settings), reactor)
        self._measure(settings)

    def renew(self, settings: Settings) -> None:
        """
        Serve by ``settings`` from the next request on; what runs ends as it began.

        :raises SettingsError: the new parts cannot be made, and the old ones stay.
        """
        limits, old = settings.limits, self._outwards
        new = self._reach_out(settings)
        new.mirror.carry_on(old.mirror)
        self.mirror_site.served = self._mirrored(settings, new)
        self.redirect_site.served = self._redirected(settings)
        self.admin_site.served = self._administered(settings)
        self.traffic.expect(upstream.name for upstream in settings.upstreams)
        self.relays.set_limits(limits.relays, limits.relays_per_client)
        self._asks.set_limits(limits.asks, limits.asks_per_client)
        self._connections.set_limits(limits.connections, limits.connections_per_client)
        self.usage.renew(settings.access)
        self._outwards = new
        self._overview.upstreams = new.upstreams
        for agent in old.agents:
            agent.retire()

    def _renewal(self, settings: Settings) -> Renewal | None:
        if self._obtained is None:
            return None
        by_http = bool(settings.server.redirect)
        return self._obtained.renewal(self._reactor, self.certificates, by_http=by_http)

    def _proof(self, token: str) -> str | None:
        return None if self._obtained is None else self._obtained.challenges.text(token)

    def _reach_out(self, settings: Settings) -> _Outwards:
        clocks = Clocks(self._reactor, time)
        upstreams: dict[str, Upstream] = {}
        tokens: dict[str, TokenSource] = {}
        agents = []
        for each in settings.upstreams:
            trust = ClientTrust(each.ca, setting=f"upstream[{each.name}].ca")
            agent = make_agent(self._reactor, each, trust, settings.tls.bulk)
            upstream = upstreams[each.name] = Upstream(each, settings.limits, agent, self._reactor)
            authority = AuthoritySource(each, upstream, self._reactor)
            tokens[each.name] = TokenSource(each, settings.limits, agent, authority, self._ledger, clocks)
            agents.append(agent)
        addressing = Addressing(settings)
        auth = Auth(settings, addressing, upstreams, tokens, clocks)
        mend = body_maker(settings.limits, self._reactor)
        asking = Asking(upstreams, tokens, clocks, self.metrics, self._allowances)
        mirror = Mirror(settings.limits, asking, auth, mend, clocks)
        return _Outwards(upstreams, tokens, tuple(agents), addressing, auth, mirror)

    def _mirrored(self, settings: Settings, outwards: _Outwards) -> Served:
        reactor, addressing, mirror, asks = self._reactor, outwards.addressing, outwards.mirror, self._asks
        front = Front(settings, self.certificates.names, reactor, self.traffic, self.usage)
        client_stall = settings.limits.client_stall
        relaying = Relaying(self.relays, reactor, client_stall, self.usage)
        logins = BasicLogins(outwards.auth, self._logins)
        repo = RepoResource(front, addressing, mirror, relaying, logins)
        search = SearchResource(front, addressing, mirror, asks)
        by_kind: dict[Kind, IResource] = dict.fromkeys(Kind, repo) | {
            Kind.PING: ChallengeResource(front, addressing, outwards.auth, asks, logins),
            Kind.TOKEN: TokenResource(front, outwards.auth, asks, self._logins),
            Kind.V1_PING: search,
            Kind.V1_SEARCH: search,
        }
        certificates = self.certificates
        health = HealthResource(front, outwards.upstreams, self.relays, reactor, lambda: certificates.awaited)
        find = url_tree(front, by_kind, health, front_page(front))
        return Served(settings, front, find)

    def _redirected(self, settings: Settings) -> Served:
        front = Front(settings, self.certificates.names, self._reactor, self.traffic)

        def public_url(request: MirrorRequest) -> str:
            public = [url for url in settings.server.public_urls if url.startswith("https:")]
            return public[0] if public else https_url(front.caller(request).base_url, settings.server.listen)

        # Everybody may be told where the mirror is; who may use it is judged there.
        server = replace(settings.server, allow=())
        opened = replace(settings, server=server, access=AccessSettings())
        open_front = Front(opened, self.certificates.names, self._reactor, self.traffic)
        return Served(settings, open_front, to_redirect(RedirectResource(front, public_url, self._proof)))

    def _administered(self, settings: Settings) -> Served:
        # Whom the mirror trusts to speak for others is nobody here.
        server = replace(settings.server, trusted_proxies=(), allow=())
        own = replace(settings, server=server, access=AccessSettings())
        front = Front(own, self.certificates.names, self._reactor, self.traffic)
        status = status_page(lambda: self._overview.shown(self.mirror_site.is_draining))
        resource = AdminResource({b"/metrics": metrics_page(self.metrics), b"/status": status})
        return Served(own, front, lambda request: resource)

    def _overlook(self) -> Overview:
        overview = Overview(
            Clocks(self._reactor, time),
            versions(),
            self.traffic,
            self.certificates,
            self._allowances,
            {"relays": self.relays, "connections": self._connections, "asks": self._asks},
        )
        overview.upstreams = self._outwards.upstreams
        overview.refused_logins = self._logins.refused
        return overview

    def _measure(self, settings: Settings) -> None:
        """Show what is looked at when somebody asks."""

        def expiry() -> Values:
            seconds = self.certificates.seconds_left()
            return {} if seconds is None else {(): seconds}

        def ending() -> Values:
            return counted(self.certificates.expiries(), self.certificates.now())

        def remaining() -> Values:
            known = self._allowances.scarcest(self._reactor.seconds())
            return {(name,): one.left.count for name, one in known.items()}

        def limit() -> Values:
            known = self._allowances.scarcest(self._reactor.seconds())
            return {(name,): one.limit.count for name, one in known.items() if one.limit is not None}

        self.traffic.expect(upstream.name for upstream in settings.upstreams)
        metrics = self.metrics
        metrics.before(self.traffic.settle)
        text = "Bytes sent this month, where there is a budget; an empty key is all."
        metrics.gauge("docxy_month_bytes", text, ("key",), self.usage.spent)
        metrics.gauge("docxy_budget_bytes", "Of how many that may be.", ("key",), self.usage.budgets)
        metrics.gauge("docxy_relays_active", "Relays under way.", ("upstream",), self.traffic.active)
        text = "Seconds until the first certificate of a listener expires."
        metrics.gauge("docxy_certificate_expiry_seconds", text, (), expiry)
        text = "Certificates whose end is told of, as a warning or, in their last days, as an error."
        metrics.gauge("docxy_certificates_ending", text, ("severity",), ending)
        text = "Pulls that an upstream says are left for docxy's own access, of several the scarcest."
        metrics.gauge("docxy_upstream_quota_remaining", text, ("upstream",), remaining)
        metrics.gauge("docxy_upstream_quota_limit", "Of how many.", ("upstream",), limit)
