"""
The life of the service: bind, serve, reload, drain.

Knows its listeners and its succession; what is served is built in `docxy.service`.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from docxy import __version__, log, process, signals
from docxy.acme.renewal import Renewal
from docxy.handover import Succession
from docxy.policy.limits import RelayCounter
from docxy.settings import live
from docxy.settings.access import interface_of, open_warnings
from docxy.settings.files import check_password_files, reload_warnings
from docxy.settings.values import Settings, SettingsError
from docxy.tls.certificates import PairFiles
from docxy.tls.client import trust_roots_present
from docxy.tls.endpoints import listen_error
from docxy.tls.shown import Certificates
from docxy.tls.watch import CertificateWatch
from docxy.usage.usage import Usage
from docxy.web.closing import PATIENCE
from docxy.web.site import MirrorSite
from docxy.web.traffic import Traffic

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


class Wired(Protocol):
    """
    What `docxy.service` has built: ``relays`` counts those in progress, ``renewal`` looks after a
    certificate that docxy obtains by itself.
    """

    certificates: Certificates
    relays: RelayCounter
    renewal: Renewal | None
    traffic: Traffic
    usage: Usage

    def renew(self, settings: Settings) -> None:
        """Serve by ``settings`` from the next request on, or raise `SettingsError` and change nothing."""


class MirrorService(Service):
    """
    The daemon: its listeners, its signals, its end.

    `bind` comes first and may need root's rights, then `privilegedStartService`;
    `startService` may run as another user; `stopService` drains.
    """

    name = "docxy"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        listeners: list[Listener],
        wired: Wired,
        load: Load | None,
        succession: Succession,
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._listeners = listeners
        self._wired = wired
        self._certificates = wired.certificates
        self._watch = CertificateWatch(self._certificates, reactor, lambda: self.settings.given, self._warn)
        self._load = load
        self._succession = succession
        self._notifier = succession.notifier
        self._stopping = False
        self._terminated = False
        self._follow_log: log.Follow | None = None
        self._told: list[str] = []

    def setServiceParent(self, parent: Any) -> None:
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            self._follow_log = log.install(parent, self.settings.log, sys.argv)

    def bind(self) -> None:
        """Open every listener; raises `SettingsError` for the first that cannot be."""
        gid = process.group_to_be(sys.argv)
        for listener in self._listeners:
            refused: list[Failure] = []
            opened = partial(self._succession.add, listener.description)
            # A UNIX socket is for the group of the service, also where it is root that opens it.
            with process.as_group(gid):
                listener.endpoint.listen(listener.site).addCallbacks(opened, refused.append)
            if refused:
                for port in self._succession.ports:
                    port.stopListening()
                cause = refused[0].value or RuntimeError("no cause")
                raise listen_error(listener.description, cause, listener.key)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._succession.prepare()

    def startService(self) -> None:
        try:
            check_password_files(self.settings)
            if self._wired.renewal is not None:
                self._wired.renewal.start()
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
        self._succession.begin(self._status)
        # Names are looked up in these threads, and a lookup can hang for long.
        self._reactor.suggestThreadPoolSize(LOOKUP_THREADS)
        self._warn()
        self._watch.begin()
        self._wired.usage.begin(self._wired.traffic.settle)
        _log.info(
            "docxy {version} mirrors {upstreams} on {listen}",
            version=__version__,
            upstreams=", ".join(upstream.name for upstream in self.settings.upstreams),
            listen=", ".join(one.description for one in self._listeners if one.key != "admin.listen"),
        )

    def _warn(self) -> None:
        """Say what there is to be warned of, and was not when it was last said."""
        warnings = [*self._warnings(), *_raise_file_limit(self.settings)]
        for warning in warnings:
            if warning not in self._told:
                _log.warn("{warning}", warning=warning)
        self._told = warnings

    def _warnings(self) -> list[str]:
        warnings = [
            *self.settings.warnings,
            *self._certificates.warnings(self.settings.server.public_urls),
            *open_warnings(self.settings, self._inherited()),
        ]
        warnings += reload_warnings(self.settings, self._certificates.files())
        if not trust_roots_present():
            warnings.append(
                "no trust roots are installed, so no upstream can be met; install ca-certificates"
            )
        return warnings

    def _inherited(self) -> Iterator[tuple[str, str | None]]:
        """Listeners whose addresses no settings tell, each with its socket's."""
        for listener, port in zip(self._listeners, self._succession.ports, strict=False):
            if listener.key == "server.listen" and interface_of(listener.description) is None:
                yield listener.description, getattr(port.getHost(), "host", None)

    def _status(self) -> str:
        """What the service manager shows of us, in one line."""
        relays = self._wired.relays.active
        if self._stopping:
            return f"draining for up to {self.settings.server.drain:g} s, transfers in progress: {relays}"
        return f"serving, transfers in progress: {relays}"

    # The end

    def terminate(self) -> None:
        """Drain and stop; a second time, stop at once."""
        if self._terminated:
            _log.info("ending at once")
            self._abort()
        elif self._succession.ended:
            # A service manager tells all its processes, also the one that has handed over.
            _log.info("draining already")
        else:
            self._succession.end()
            self._reactor.stop()
        self._terminated = True

    def stopService(self) -> Deferred[None]:
        """
        Take nothing new and fire once running answers have ended, after `server.drain` seconds at most.

        Those of a process that handed over to this one count too: a service
        manager kills what is left once the main process has ended.
        """
        self._stopping = True
        super().stopService()
        self._watch.end()
        self._notifier.stopping()
        if self._wired.renewal is not None:
            self._wired.renewal.stop()
        self._succession.end()
        # Waited for, since a UNIX socket is removed a moment later.
        ports = self._succession.ports
        closed = DeferredList([maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        seconds, grace = self.settings.server.drain, self._succession.grace
        _log.info("draining for up to {seconds:g} s", seconds=seconds)
        ends: list[Deferred[Any]] = [closed, self._succession.alone()]
        ends += [listener.site.drain(grace) for listener in self._listeners]
        self._limit = self._reactor.callLater(seconds, self._end_short)

        def over(_: object) -> None:
            if self._limit.active():
                self._limit.cancel()
            self._wired.usage.end()
            self._notifier.end()
            _log.info("drained")

        return DeferredList(ends).addCallback(over)

    def _end_short(self) -> None:
        """The time is over: end in order what still runs, and by a reset what goes on."""
        self._limit = self._reactor.callLater(PATIENCE, self._abort)
        for listener in self._listeners:
            listener.site.end_short()

    def _abort(self) -> None:
        self._succession.wait_no_more()
        for listener in self._listeners:
            listener.site.abort()

    # Reload

    def reload(self) -> None:
        """
        Take settings and certificates anew, for what comes next.

        What is wrong stays as it was and is told, as is what waits for a restart.
        """
        self._notifier.reloading()
        waiting: tuple[str, ...] = ()
        errors = []
        try:
            waiting = self._reload_settings()
        except SettingsError as error:
            errors.append(str(error))
        if self._wired.renewal is not None:
            self._wired.renewal.hurry()
        refused = self._certificates.reload(pair_of(self.settings))
        errors += [str(error.as_given(self.settings.given)) for error in refused]
        for text in dict.fromkeys(errors):
            _log.error("not reloaded: {error}", error=text)
        self._warn()
        if waiting:
            _log.warn("reloaded; a restart is needed for: {waiting}", waiting=", ".join(waiting))
        elif not errors:
            _log.info("reloaded")
        self._notifier.reloaded()

    def _reload_settings(self) -> tuple[str, ...]:
        """Serve by the settings as they are now, but for the keys given back, or raise `SettingsError`."""
        wanted = self.settings if self._load is None else self._load()
        waiting = live.waiting(self.settings, wanted)
        settings = live.taken_over(self.settings, wanted)
        try:
            self._wired.renew(settings)
        except SettingsError as error:
            raise error.as_given(settings.given) from None
        self.settings = settings
        if self._follow_log is not None:
            self._follow_log(settings.log)
        return waiting


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


def pair_of(settings: Settings) -> PairFiles | None:
    """The certificate's files, where the settings name them, and docxy does not obtain it by itself."""
    cert, key = settings.tls.cert, settings.tls.key
    return None if settings.acme or cert is None or key is None else PairFiles(cert, key)
