"""
docxy as a process of twistd's: the options it was started with, and how it gives up.

Owns what is known of twistd's own command line.  Knows nothing of settings.
"""

from __future__ import annotations

import os
import platform
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import cryptography
from OpenSSL import SSL
from twisted.logger import Logger
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions

import twisted
from docxy import __version__

_log = Logger()


def versions() -> dict[str, str]:
    """What this process is made of: ``version`` is docxy's own."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "twisted": twisted.__version__,
        "cryptography": cryptography.__version__,
        "openssl": SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii").split(" ")[1],
    }


class ReadOptions(ServerOptions):
    """twistd's options, read once more: without what reading them does besides."""

    def opt_reactor(self, shortName: str) -> None:  # noqa: N803 - twistd's name
        """Keep it: twistd has installed it."""
        self["reactor"] = shortName

    opt_r = opt_reactor

    def opt_debug(self) -> None:
        """Keep it."""
        self["debug"] = True

    opt_b = opt_debug

    def opt_spew(self) -> None:
        """Nothing: twistd traces already."""


def twistd_options(argv: list[str]) -> ServerOptions | None:
    """The options of the twistd that was started with ``argv``; None where that is no twistd."""
    options = ReadOptions()
    try:
        options.parseOptions(argv[1:])
    except (UsageError, SystemExit):
        return None
    return options


def group_to_be(argv: list[str]) -> int | None:
    """The group with which a twistd that was started with ``argv`` goes on; None: the one that it has."""
    options = twistd_options(argv)
    uid, gid = (None, None) if options is None else (options["uid"], options["gid"])
    if uid is None or gid is not None:
        return gid
    with suppress(KeyError):  # a number that is nobody's: twistd says so
        return pwd.getpwuid(uid).pw_gid
    return None


@contextmanager
def as_group(gid: int | None) -> Iterator[None]:
    """Make files as that group's for as long as the context lasts, where that is root's to say."""
    before = os.getegid()
    if os.geteuid() == 0 and gid is not None:
        os.setegid(gid)
    try:
        yield
    finally:
        if os.getegid() != before:
            os.setegid(before)


class GivenUp(SystemExit, Exception):
    """
    The end of a process that twistd has begun to run; its text is the reason, its exit status 1.

    twistd tidies up after each `Exception`, tells who waits for a daemon, and
    lets it pass; Python then ends quietly, since it is a `SystemExit`.
    """

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self._line = line

    def __str__(self) -> str:
        return self._line


def give_up(line: str) -> NoReturn:
    """
    End this process with ``line`` in the log and on stderr.

    :raises GivenUp: always.
    """
    _log.error("{line}", line=line)
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"docxy: {line}\n")  # sys.stderr is the log by now
    raise GivenUp(line)
