"""
All wiring in one place, and the life of the service: listen, serve, drain.

Knows every part by its constructor and decides nothing about a pull.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from docxy import __version__, log, process, signals
from docxy.auth import Auth
from docxy.handover import Succession
from docxy.inheritance import inherited
from docxy.interfaces import Clocks
from docxy.mirror import Mirror
from docxy.oci.routes import Kind
from docxy.policy.addressing import Addressing
from docxy.policy.hosts import parse_host
from docxy.policy.limits import ConnectionCounter, RelayCounter
from docxy.settings.files import check_password_files, reload_warnings
from docxy.settings.values import Settings, SettingsError
from docxy.tls.certificates import PairFiles
from docxy.tls.client import ClientTrust, trust_roots_present
from docxy.tls.endpoints import is_tls, listen_error, parse_listener, port_of
from docxy.tls.shown import Certificates
from docxy.upstream.agent import make_agent
from docxy.upstream.authority import AuthoritySource
from docxy.upstream.fetch import Upstream
from docxy.upstream.ledger import TokenLedger
from docxy.upstream.parallel import body_maker
from docxy.upstream.tokens import TokenSource
from docxy.web.challenge import ChallengeResource
from docxy.web.closing import PATIENCE
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

_log = Logger()

Load = Callable[[], Settings]

LOOKUP_THREADS = 32


@dataclass(frozen=True, slots=True)
class Listener:
    """One endpoint, the site behind it, and how the operator wrote it."""

    description: str
    key: str
    endpoint: IStreamServerEndpoint
    site: MirrorSite


class MirrorService(Service):
    """
    The daemon: its listeners, its signals, its end.

    `bind` comes first and may need root's rights; `startService` may run as
    another user; `stopService` drains.
    """

    name = "docxy"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        listeners: list[Listener],
        certificates: Certificates,
        load: Load | None,
        succession: Succession,
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._listeners = listeners
        self._certificates = certificates
        self._load = load
        self._succession = succession
        self._stopping = False

    def setServiceParent(self, parent: Any) -> None:
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            log.install(parent, self.settings.log, sys.argv)

    def bind(self) -> None:
        """Open every listener; raises `SettingsError` for the first that cannot be."""
        for listener in self._listeners:
            refused: list[Failure] = []
            opened = partial(self._succession.add, listener.description)
            listener.endpoint.listen(listener.site).addCallbacks(opened, refused.append)
            if refused:
                for port in self._succession.ports:
                    port.stopListening()
                cause = refused[0].value or RuntimeError("no cause")
                raise listen_error(listener.description, cause, listener.key)

    def startService(self) -> None:
        try:
            check_password_files(self.settings)
        except SettingsError as error:
            process.give_up(str(error.as_given(self.settings.given)))
        super().startService()
        signals.install(
            self._reactor,
            {
                signal.SIGTERM: self.terminate,
                signal.SIGINT: self.terminate,
                signal.SIGHUP: self.reload,
                signal.SIGUSR2: self._succession.hand_over,
            },
        )
        self._succession.begin()
        # Names are looked up in these threads, and a lookup can hang for long.
        self._reactor.suggestThreadPoolSize(LOOKUP_THREADS)
        for warning in (*self._warnings(), *_raise_file_limit(self.settings)):
            _log.warn("{warning}", warning=warning)
        _log.info(
            "docxy {version} mirrors {upstreams} on {listen}",
            version=__version__,
            upstreams=", ".join(upstream.name for upstream in self.settings.upstreams),
            listen=", ".join(listener.description for listener in self._listeners),
        )

    def _warnings(self) -> list[str]:
        warnings = [*self.settings.warnings, *self._certificates.warnings()]
        warnings += reload_warnings(self.settings, self._certificates.files())
        if not trust_roots_present():
            warnings.append(
                "no trust roots are installed, so no upstream can be met; install ca-certificates"
            )
        return warnings

    # The end

    def terminate(self) -> None:
        """Drain and stop; a second time, stop at once."""
        if self._stopping:
            _log.info("ending at once")
            self._abort()
        else:
            self._stopping = True
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Take nothing new and fire once running answers have ended, after `server.drain` seconds at most."""
        self._stopping = True
        super().stopService()
        self._succession.end()
        # Waited for, since a UNIX socket is removed a moment later.
        ports = self._succession.ports
        closed = DeferredList([maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        seconds, grace = self.settings.server.drain, self._succession.grace
        _log.info("draining for up to {seconds:g} s", seconds=seconds)
        ends: list[Deferred[Any]] = [closed, *(listener.site.drain(grace) for listener in self._listeners)]
        self._limit = self._reactor.callLater(seconds, self._end_short)

        def over(_: object) -> None:
            if self._limit.active():
                self._limit.cancel()
            _log.info("drained")

        return DeferredList(ends).addCallback(over)

    def _end_short(self) -> None:
        """The time is over: end in order what still runs, and by a reset what goes on."""
        self._limit = self._reactor.callLater(PATIENCE, self._abort)
        for listener in self._listeners:
            listener.site.end_short()

    def _abort(self) -> None:
        for listener in self._listeners:
            listener.site.abort()

    # Reload

    def reload(self) -> None:
        """Take the certificates anew, and tell which settings wait for a restart."""
        try:
            settings = self._load() if self._load is not None else self.settings
        except SettingsError as error:
            _log.error("not reloaded: {error}", error=str(error))
            return
        refused = self._certificates.reload(_pair(settings))
        for one in refused:
            _log.error("not reloaded: {error}", error=str(one.as_given(settings.given)))
        changed = _changed(self.settings, settings)
        if changed:
            _log.warn("reloaded; a restart is needed for: {changed}", changed=", ".join(changed))
        elif not refused:
            _log.info("reloaded")


def _raise_file_limit(settings: Settings) -> Iterator[str]:
    """Allow as many sockets as the limits let clients and relays have, or tell that there are too few."""
    a_relay = max(upstream.connections for upstream in settings.upstreams)
    needed = settings.limits.connections + a_relay * settings.limits.relays + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        wanted = "limits.connections and limits.relays"
        yield f"{wanted} may need {needed} open files, {hard} are allowed; lower them, or raise LimitNOFILE"


def _changed(old: Settings, new: Settings) -> list[str]:
    """The parts of the settings that a running service does not take over."""
    parts = ("server", "upstreams", "limits", "log", "admin")
    changed = [part for part in parts if getattr(old, part) != getattr(new, part)]
    return ["upstream" if part == "upstreams" else part for part in changed]


def _pair(settings: Settings) -> PairFiles | None:
    cert, key = settings.tls.cert, settings.tls.key
    return None if cert is None or key is None else PairFiles(cert, key)


def _now() -> datetime:
    return datetime.now(UTC)


def build_service(reactor: Any, settings: Settings, load: Load | None = None) -> IService:
    """
    The whole mirror, bound to its listeners.

    ``load`` reads the settings anew for a reload.  Raises `SettingsError`.
    """
    certificates = Certificates(_now, _pair(settings))
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
