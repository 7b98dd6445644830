"""
Certificates that are renewed while docxy runs, and those that nobody renews.

Owns when their files are looked at, and what the log says of them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from docxy.settings.given import Given
from docxy.tls.expiry import Reminders
from docxy.tls.shown import Certificates

_log = Logger()

LOOK = 10.0  # seconds between looks at the files
SETTLE = (
    2.0  # seconds for which changed ones have to stay as they are: chain and key come one after the other
)


class CertificateWatch:
    """
    Has ``certificates`` taken over as their files change, and says when they end.

    ``given`` tells how the operator named settings; ``taken`` is called after each takeover.
    """

    def __init__(
        self,
        certificates: Certificates,
        clock: IReactorTime,
        given: Callable[[], Given],
        taken: Callable[[], None],
    ) -> None:
        self._certificates = certificates
        self._clock = clock
        self._given = given
        self._taken = taken
        self._reminders = Reminders()
        self._next: IDelayedCall | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._certificates.begin()
        self._remind()
        self._next = self._clock.callLater(LOOK, self._look)

    def end(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
        self._next = None

    def _look(self) -> None:
        wait = LOOK
        try:
            looked = self._certificates.look()
            wait = SETTLE if looked.unsettled else LOOK
            for error in looked.refused:
                told = str(error.as_given(self._given()))
                _log.error("the old certificate stays: {error}", error=told)
            for files in looked.taken:
                _log.info("new connections are shown the new certificate in {cert}", cert=files.cert)
            if looked.taken:
                self._taken()
            self._remind()
        finally:
            self._next = self._clock.callLater(wait, self._look)

    def _remind(self) -> None:
        certificates = self._certificates
        for reminder in self._reminders.due(certificates.expiries(), certificates.now()):
            say = _log.error if reminder.urgent else _log.warn
            say("{setting}: {text}", setting=self._given().name(reminder.setting), text=reminder.text)
