"""
The wiring of a certificate that docxy obtains by itself.

Owns which parts it has.  The library is looked for here, and imported only where it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from time import time
from typing import Any

from docxy.acme.challenges import HTTP, TLS, Challenges
from docxy.acme.keys import stand_in
from docxy.acme.renewal import Renewal
from docxy.acme.state import State
from docxy.acme.thread import in_thread
from docxy.interfaces import Clocks
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import CertificatePair, covers, load_files
from docxy.tls.shown import Certificates, Coming


class Obtained:
    """
    The certificate of ``settings``; ``now`` dates what is signed here.

    :raises SettingsError: the library is not installed.
    """

    def __init__(self, settings: AcmeSettings, now: Callable[[], datetime]) -> None:
        if find_spec("acme") is None or find_spec("josepy") is None:
            problem = "needs the Python package acme, which is not installed"
            raise SettingsError("acme.domains", problem, "install docxy with it: pip install 'docxy[acme]'")
        self._settings = settings
        self._state = State(settings)
        self.challenges = Challenges(now)
        self.pair = self._state.pair
        self._now = now
        self.coming = Coming(self._meanwhile, self.challenges.certificate)

    def _meanwhile(self) -> CertificatePair:
        """What is shown until a certificate is there: another authority's if one is good, or a stand-in."""
        names, now = self._settings.domains, self._now()
        found = []
        for files in self._state.others():
            with suppress(SettingsError):
                found.append(load_files(files, now=now))
        good = [pair for pair in found if all(covers(pair.names, name) for name in names)]
        return max(good, key=lambda pair: pair.not_after) if good else stand_in(names, now)

    def renewal(self, reactor: Any, certificates: Certificates, *, by_http: bool) -> Renewal:
        """What looks after it; ``by_http`` where a plain listener can prove names."""
        from docxy.acme.authority import Authority

        kinds = (HTTP, TLS) if by_http else (TLS,)
        authority = Authority(self._settings, self._state, self.challenges, kinds)
        clocks = Clocks(reactor, time)
        return Renewal(
            self._settings, self._state, certificates, authority, clocks, partial(in_thread, reactor)
        )
