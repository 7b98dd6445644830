"""
The certificate's life: obtained, renewed before its end, tried for again after a failure.

Owns when something is done, and what the operator reads of it.  What blocks
runs in threads: orders and questions are `docxy.acme.authority`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import random
from typing import Any, Protocol

from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from docxy.acme.binding import read_hmac
from docxy.acme.keys import type_of
from docxy.acme.outcome import Issued, Refused
from docxy.acme.state import Busy, State, Trouble
from docxy.acme.trust import trust
from docxy.interfaces import Clocks
from docxy.policy.renewals import DAY, LONGEST_LOOK, Span, Suggestion, ask_after, renew_at, wait_after
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import CertificatePair, covers
from docxy.tls.shown import Certificates

_log = Logger()

FIRST_LOOK = 1.0  # seconds: until then a successor has taken the listeners over
SETTLED = 1.0  # seconds from a success to the next look
BUSY = 30.0  # seconds until it is looked again whether another process has ended its order

_STALE = "what the authority issued is to be replaced already; check this machine's clock"
_FAULT = "a fault in docxy itself, which is told above"
_MOST_TROUBLE = 7 * DAY  # seconds: a longer wait was written by a clock that was wrong

InThread = Callable[[Callable[[], Any]], Deferred[Any]]
"""Calls a function that blocks."""


class Source(Protocol):
    """Where certificates come from; both block, and raise `Refused`."""

    def obtain(self, old: x509.Certificate | None) -> Issued:
        """A new one, in the place of the old one."""
        ...

    def suggestion(self, leaf: x509.Certificate) -> Suggestion | None:
        """When to renew the old one."""
        ...


class Renewal:
    """
    Keeps a certificate of ``settings`` on the listeners of ``certificates``.

    `start` runs as the user that the service runs as.
    """

    def __init__(
        self,
        settings: AcmeSettings,
        state: State,
        certificates: Certificates,
        source: Source,
        clocks: Clocks,
        in_thread: InThread,
    ) -> None:
        self.chance: Callable[[], float] = random
        self._settings = settings
        self._state = state
        self._certificates = certificates
        self._source = source
        self._clocks = clocks
        self._in_thread = in_thread
        self._names = ", ".join(settings.domains)
        self._life: Deferred[None] | None = None
        self._nap: tuple[IDelayedCall, Deferred[None]] | None = None
        self._hurried = False
        self._trouble: Trouble | None = None
        self._planned: CertificatePair | None = None
        self._share = 0.0  # where in its window or life this certificate is renewed
        self._suggested: Suggestion | None = None
        self._ask_at = 0.0

    def start(self) -> None:
        """
        Begin.

        :raises SettingsError: a file or folder of the settings cannot be used.
        """
        self._state.prepare()
        if self._settings.eab_hmac_file is not None:
            read_hmac(self._settings.eab_hmac_file)
        if self._settings.ca is not None:
            trust(self._settings.ca)
        self._trouble = self._state.trouble(self._settings.domains)
        if self._certificates.awaited:
            _log.warn(
                "acme: no certificate for {names} yet; {meanwhile}",
                names=self._names,
                meanwhile=self._meanwhile(),
            )
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(_ended)

    def _meanwhile(self) -> str:
        """What is shown until there is one."""
        shown = self._certificates.default
        leaf = None if shown is None else shown.pair.chain[0]
        if leaf is None or leaf.issuer == leaf.subject:
            return "clients refuse the stand-in"
        return "what another authority has issued is shown until then"

    def stop(self) -> None:
        """End; an order under way is not heard of any more."""
        if self._life is not None:
            self._life.cancel()

    def hurry(self) -> None:
        """Look now, ask the authority, and do not wait for a failed try's time."""
        self._hurried = True
        self._ask_at = 0.0
        if self._nap is not None:
            call, woken = self._nap
            call.cancel()
            woken.callback(None)

    async def _live(self) -> None:
        await self._sleep(FIRST_LOOK)
        while True:
            await self._sleep(await self._look_on())

    async def _sleep(self, seconds: float) -> None:
        woken: Deferred[None] = Deferred()
        call = self._clocks.steady.callLater(seconds, woken.callback, None)
        self._nap = call, woken
        try:
            await woken
        finally:
            self._nap = None
            if call.active():
                call.cancel()

    # One look

    async def _look_on(self) -> float:
        """Look, and go on whatever happens: there is nobody else who would renew the certificate."""
        try:
            return await self._look()
        except CancelledError:
            raise
        except Exception:
            _log.failure("acme: a fault in docxy itself")
            return await self._failed(_FAULT, None)

    async def _look(self) -> float:
        """Do what is due; seconds until the next look."""
        self._take()
        now = self._clocks.wall()
        due = await self._due(now)
        if due <= now:
            self._hurried = False
            return await self._order()
        until_asked = self._ask_at - self._clocks.steady.seconds()
        return min(due - now, LONGEST_LOOK, until_asked if until_asked > 0 else LONGEST_LOOK)

    def _take(self) -> None:
        """Show what another process may have obtained."""
        try:
            self._certificates.take()
        except SettingsError as error:
            _log.error("acme: not taken: {error}", error=str(error))

    async def _due(self, now: float) -> float:
        """When the next order is to be made."""
        trouble = self._trouble
        if trouble is not None and not self._hurried and now < trouble.due < now + _MOST_TROUBLE:
            return trouble.due
        pair = self._certificates.pair
        if pair is None or not self._is_wanted(pair):
            return now
        if pair is not self._planned:
            self._planned, self._share = pair, self.chance()
            self._suggested, self._ask_at = None, 0.0
        life = life_of(pair)
        # Of what has ended nothing is asked (RFC 9773 section 4.3).
        if now < life.end and self._ask_at <= self._clocks.steady.seconds():
            await self._ask(pair.chain[0])
        window = None if self._suggested is None else self._suggested.window
        return renew_at(life, window, self._share)

    def _is_wanted(self, pair: CertificatePair) -> bool:
        """Whether it is what would be ordered now."""
        settings = self._settings
        return type_of(pair.private_key) == settings.key_type and all(
            covers(pair.names, name) for name in settings.domains
        )

    async def _ask(self, leaf: x509.Certificate) -> None:
        """Hear when the authority wants it renewed; what was heard before stands where it cannot be asked."""
        now = self._clocks.steady.seconds()
        self._ask_at = now + LONGEST_LOOK
        before, found = self._suggested, None
        try:
            found = self._suggested = await self._in_thread(lambda: self._source.suggestion(leaf))
        except Refused as refused:
            self._ask_at = now + ask_after(refused.retry_after)
            _log.info("acme: the authority does not say when to renew: {problem}", problem=str(refused))
        except CancelledError:
            raise
        except Exception:  # whatever it is, no renewal is to wait for it
            _log.failure("acme: a fault in docxy itself")
        if found is None:
            return
        self._ask_at = now + found.ask_again
        if before is None or before.window != found.window:
            _tell(found)

    # An order

    async def _order(self) -> float:
        """Make one, and tell what became of it; seconds until the next look."""
        _log.info(
            "acme: ordering a certificate for {names} from {directory}",
            names=self._names,
            directory=self._settings.directory,
        )
        pair = self._certificates.pair
        old = None if pair is None else pair.chain[0]
        try:
            await self._in_thread(lambda: self._obtain(old))
            self._certificates.take()
        except Busy:
            _log.info("acme: another process is ordering; it is left to that one")
            return BUSY
        except Refused as refused:
            return await self._failed(str(refused), refused.retry_after)
        except (SettingsError, OSError) as error:
            return await self._failed(f"it cannot be kept or shown: {error}", None)
        now = self._clocks.wall()
        if await self._due(now) <= now:
            return await self._failed(_STALE, None)
        await self._keep(None)
        pair = self._certificates.pair
        assert pair is not None  # it was taken
        _log.info(
            "acme: obtained a certificate for {names}, valid until {end:%Y-%m-%d %H:%M} UTC",
            names=", ".join(pair.names),
            end=pair.not_after,
        )
        return SETTLED

    def _obtain(self, old: x509.Certificate | None) -> None:
        with self._state.locked():
            self._state.try_room()
            issued = self._source.obtain(old)
            self._state.keep_pair(issued.chain, issued.key)

    async def _failed(self, problem: str, told: float | None) -> float:
        failures = 1 + (self._trouble.failures if self._trouble else 0)
        wait = wait_after(failures, told, self.chance())
        due = self._clocks.wall() + wait
        await self._keep(Trouble(failures, due, self._settings.domains))
        _log.error(
            "acme: no new certificate for {names}: {problem}; "
            "next try at {due:%Y-%m-%d %H:%M:%S} UTC, or on HUP",
            names=self._names,
            problem=problem,
            due=datetime.fromtimestamp(due, UTC),
        )
        return min(wait, LONGEST_LOOK)

    async def _keep(self, trouble: Trouble | None) -> None:
        self._trouble = trouble
        with suppress(OSError, RuntimeError):  # no room, or no thread: a restart tries sooner then
            # Not in the reactor's thread: to have it on a busy disk may take as long as an order.
            await self._in_thread(lambda: self._state.keep_trouble(trouble))


def life_of(pair: CertificatePair) -> Span:
    """From when until when its leaf is valid."""
    return Span(pair.chain[0].not_valid_before_utc.timestamp(), pair.not_after.timestamp())


def _tell(suggested: Suggestion) -> None:
    window, why = suggested.window, suggested.explanation
    _log.info(
        "acme: the authority wants the certificate renewed between {start:%Y-%m-%d %H:%M} "
        "and {end:%Y-%m-%d %H:%M} UTC{why}",
        start=datetime.fromtimestamp(window.start, UTC),
        end=datetime.fromtimestamp(window.end, UTC),
        why="" if why is None else f" ({why})",
    )


def _ended(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("acme: certificates are not looked after any more", failure=failure)
