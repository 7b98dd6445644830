"""
All certificates that the listeners show: that of the settings, and those of single listeners.

Owns which files each was read from, so that all can be read again.  Knows
nothing of endpoint strings or sockets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from docxy.policy.hosts import parse_host
from docxy.settings.values import SettingsError
from docxy.tls.certificates import CertificatePair, PairFiles, covers, load_files
from docxy.tls.server import Proof, ReloadableCreator, server_creator

_State = tuple[tuple[int, ...] | None, ...]
"""What tells files from changed ones; None for one that cannot be looked at."""


@dataclass(slots=True)
class _Shown:
    """
    One certificate; ``lasting`` where its listener has taken it for good, ``awaited`` where
    another stands in for it.

    ``judged`` is the state of the files when they were read last, ``seen``
    when they were looked at last; ``refused`` is why they were not taken.
    """

    creator: ReloadableCreator
    files: PairFiles
    lasting: bool
    judged: _State
    seen: _State
    refused: str | None = None
    awaited: bool = False

    def renew(self, now: datetime) -> None:
        """Read the files and show what is in them; raises `SettingsError`."""
        self.judged = self.seen = _state(self.files)
        try:
            pair = load_files(self.files, now=now)
            with _told_as(self.files):
                self.creator.replace(pair)
        except SettingsError as error:
            self.refused = str(error)
            raise
        self.refused, self.awaited = None, False


@dataclass(frozen=True, slots=True)
class Coming:
    """What a certificate that docxy obtains needs: a ``stand_in`` until it is there; ``proof`` of names."""

    stand_in: Callable[[], CertificatePair]
    proof: Proof


@dataclass(frozen=True, slots=True)
class Expiry:
    """
    When the certificate for ``names`` ends, of which ``life`` in all.

    ``lasting`` where only a restart shows another one.
    """

    files: PairFiles
    not_after: datetime
    life: timedelta
    lasting: bool
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Looked:
    """
    What a look at all files found: pairs that were ``taken``, and why others were ``refused``.

    ``unsettled`` tells that files have changed since the last look: look again soon.
    """

    taken: list[PairFiles] = field(default_factory=list)
    refused: list[SettingsError] = field(default_factory=list)
    unsettled: bool = False


class Certificates:
    """
    Every certificate of this process; ``now`` gives the time that validity is judged by.

    ``default`` makes connections by the pair of the settings, ``pair``; None where there is none.
    With ``coming`` it need not be there yet, or may have ended.

    :raises SettingsError: the pair of the settings cannot serve.
    """

    def __init__(
        self, now: Callable[[], datetime], pair: PairFiles | None = None, coming: Coming | None = None
    ) -> None:
        self.now = now
        self._all: list[_Shown] = []
        if pair is not None and coming is not None:
            self.default: ReloadableCreator | None = self._add_coming(pair, coming)
        else:
            self.default = None if pair is None else self.add(pair)

    def add(self, files: PairFiles, *, lasting: bool = False) -> ReloadableCreator:
        """
        Read a pair, and show it by the creator given back.

        :raises SettingsError: under the settings that ``files`` name: the pair cannot serve.
        """
        state = _state(files)  # before the files are read: a change after it is seen later
        pair = load_files(files, now=self.now())
        with _told_as(files):
            creator = server_creator(pair)
        self._all.append(_Shown(creator, files, lasting, state, state))
        return creator

    def _add_coming(self, files: PairFiles, coming: Coming) -> ReloadableCreator:
        state, refused = _state(files), None
        try:
            pair = load_files(files, now=self.now())
        except SettingsError as error:
            pair, refused = coming.stand_in(), str(error)
        creator = server_creator(pair, coming.proof)
        # What is refused is judged again: a clock that was wrong at the start may be set right.
        self._all.append(_Shown(creator, files, False, state, state, refused, awaited=refused is not None))
        return creator

    @property
    def awaited(self) -> bool:
        """Whether a stand-in is shown in the place of the settings' pair."""
        return any(one.awaited for one in self._all)

    @property
    def pair(self) -> CertificatePair | None:
        """The settings' pair; None where there is none, or none yet."""
        return None if self.default is None or self.awaited else self.default.pair

    def take(self) -> None:
        """
        Show the settings' pair as its files are by now, where they are there and have changed.

        :raises SettingsError: it cannot serve, for a reason that was not told yet; the old one stays.
        """
        for one in self._renewable():
            if one.creator is self.default and (_state(one.files) != one.judged or one.refused is not None):
                known = one.refused
                try:
                    one.renew(self.now())
                except SettingsError as error:
                    if str(error) != known:
                        raise

    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(name for one in self._all for name in one.creator.pair.names)

    def warnings(self, public_urls: Sequence[str] = ()) -> list[str]:
        """What the operator should know of them, also where none is valid for one of ``public_urls``."""
        warnings = [warning for one in self._all for warning in one.creator.pair.warnings]
        for url in public_urls if self._all else ():
            host = parse_host(url.partition("://")[2])
            if host is not None and url.startswith("https:") and not covers(self.names(), host.name):
                warnings.append(
                    f"server.public_url: no certificate is valid for {host.name}; have one issued for it"
                )
        return warnings

    def expiries(self) -> list[Expiry]:
        """When each of them ends; what stands in for another does not count."""
        pairs = ((one, one.creator.pair) for one in self._all if not one.awaited)
        return [Expiry(one.files, pair.not_after, pair.life, one.lasting, pair.names) for one, pair in pairs]

    def seconds_left(self) -> float | None:
        """Until the first of them ends, negative after that; None where there is none."""
        ends = [expiry.not_after for expiry in self.expiries()]
        return (min(ends) - self.now()).total_seconds() if ends else None

    def files(self) -> Iterator[tuple[str, str]]:
        """The files that are read again, each after the setting that names it."""
        for files in (one.files for one in self._renewable()):
            yield files.cert_setting, files.cert
            yield files.key_setting, files.key
            if files.chain is not None:
                yield files.cert_setting, files.chain

    def _renewable(self) -> list[_Shown]:
        return [
            one for one in self._all if not one.lasting and not (one.awaited and None in _state(one.files))
        ]

    def reload(self, pair: PairFiles | None) -> list[SettingsError]:
        """
        Read each again, that of the settings from ``pair`` if given; gives why some stay as they were.

        One that cannot serve does not keep the others from being renewed.
        """
        refused: list[SettingsError] = []
        for one in self._renewable():
            if one.creator is self.default and pair is not None:
                one.files = pair
            try:
                one.renew(self.now())
            except SettingsError as error:
                refused.append(error)
        return refused

    def begin(self) -> None:
        """Looks come next, by the user that the process runs as: what that one cannot see stays."""
        for one in self._renewable():
            state = _state(one.files)
            if None in state:
                one.judged = one.seen = state

    def look(self) -> Looked:
        """
        Take over the pairs whose files have changed, once they are as they were at the last look.

        One that was refused is judged at each look, for its time may come
        without a change of its files; it is told when the reason is a new one.
        """
        looked = Looked()
        for one in self._renewable():
            state = _state(one.files)
            if state != one.seen:
                one.seen, looked.unsettled = state, True
            elif state != one.judged or one.refused is not None:
                self._judge(one, looked)
        return looked

    def _judge(self, one: _Shown, looked: Looked) -> None:
        known = one.refused
        try:
            one.renew(self.now())
        except SettingsError as error:
            if one.refused != known:
                looked.refused.append(error)
        else:
            looked.taken.append(one.files)


def _state(files: PairFiles) -> _State:
    return tuple(_state_of(path) for path in (files.cert, files.key, files.chain) if path is not None)


def _state_of(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # of what a symlink leads to in the end, which certbot and Kubernetes swap
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def _told_as(files: PairFiles) -> Iterator[None]:
    """What OpenSSL refuses is told under the setting that names the files."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(files.cert_setting, error.problem, error.remedy) from None
