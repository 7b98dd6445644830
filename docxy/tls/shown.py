"""
All certificates that the listeners show: that of the settings, and those of single listeners.

Owns which files each was read from, so that all can be read again.  Knows
nothing of endpoint strings or sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from docxy.settings.values import SettingsError
from docxy.tls.certificates import PairFiles, load_files
from docxy.tls.server import ReloadableCreator, server_creator


@dataclass(frozen=True, slots=True)
class _Shown:
    """One certificate; ``lasting`` where its listener has taken it for good."""

    creator: ReloadableCreator
    files: PairFiles
    lasting: bool


class Certificates:
    """
    Every certificate of this process; ``now`` gives the time that validity is judged by.

    ``default`` makes connections by the pair of the settings, ``pair``; None where there is none.

    :raises SettingsError: the pair of the settings cannot serve.
    """

    def __init__(self, now: Callable[[], datetime], pair: PairFiles | None = None) -> None:
        self._now = now
        self._all: list[_Shown] = []
        self.default = None if pair is None else self.add(pair)

    def add(self, files: PairFiles, *, lasting: bool = False) -> ReloadableCreator:
        """
        Read a pair, and show it by the creator given back.

        :raises SettingsError: under the settings that ``files`` name: the pair cannot serve.
        """
        pair = load_files(files, now=self._now())
        with _told_as(files):
            creator = server_creator(pair)
        self._all.append(_Shown(creator, files, lasting))
        return creator

    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(name for one in self._all for name in one.creator.pair.names)

    def warnings(self) -> list[str]:
        """What the operator should know of them."""
        return [warning for one in self._all for warning in one.creator.pair.warnings]

    def files(self) -> Iterator[tuple[str, str]]:
        """The files that are read again, each after the setting that names it."""
        for files in (one.files for one in self._all if not one.lasting):
            yield files.cert_setting, files.cert
            yield files.key_setting, files.key
            if files.chain is not None:
                yield files.cert_setting, files.chain

    def reload(self, pair: PairFiles | None) -> list[SettingsError]:
        """
        Read each again, that of the settings from ``pair`` if given; gives why some stay as they were.

        One that cannot serve does not keep the others from being renewed.
        """
        refused: list[SettingsError] = []
        for number, one in enumerate(self._all):
            if one.creator is self.default and pair is not None:
                one = replace(one, files=pair)
            try:
                self._renew(one)
            except SettingsError as error:
                refused.append(error)
            else:
                self._all[number] = one
        return refused

    def _renew(self, one: _Shown) -> None:
        if one.lasting:
            return
        pair = load_files(one.files, now=self._now())
        with _told_as(one.files):
            one.creator.replace(pair)


@contextmanager
def _told_as(files: PairFiles) -> Iterator[None]:
    """What OpenSSL refuses is told under the setting that names the files."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(files.cert_setting, error.problem, error.remedy) from None
