"""
The words of ``docxy``, their flags, and their exit status.

Flags that ``twistd docxy`` has too are the same here: the settings are found
in the same places, in the same order.  Installs no reactor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn, cast

from twisted.python import usage

from docxy import __version__
from docxy.cli.clients import CLIENTS, advice, shown
from docxy.daemon import pair_of
from docxy.settings.sources import load
from docxy.settings.values import Settings, SettingsError
from docxy.tap import Options
from docxy.tls.certificates import load_files

USAGE = 2
"""Exit status for a command line that says nothing; 1 is for what is wrong besides."""


class Word(Options):
    """One word of the command line, with the flags of ``twistd docxy``."""

    def settings(self) -> Settings:
        """The settings that ``twistd docxy`` would run by; raises `SettingsError`."""
        return load(self, os.environ)

    def run(self) -> int:
        """Do it, and give the exit status."""
        raise NotImplementedError


class ClientConfigOptions(Word):
    """``docxy client-config``."""

    synopsis = f"[options] [{'|'.join(CLIENTS)}|all]"
    longdesc = """\
Prints what to put into the configuration of each container client, for the
names, the secret path and the upstreams of the settings, and the commands
that apply it. A secret path is shown: the text is for those who may pull."""

    clients: Sequence[str] = tuple(CLIENTS)

    def parseArgs(self, client: str = "all") -> None:
        """One client, or all of them."""
        if client != "all" and client not in CLIENTS:
            raise usage.UsageError(f"{client}: is no client; choose {', '.join(CLIENTS)} or all")
        self.clients = tuple(CLIENTS) if client == "all" else (client,)

    def run(self) -> int:
        """Print it."""
        settings = self.settings()
        sys.stdout.write(shown(advice(settings, self.clients, _names(settings))))
        return 0


def _names(settings: Settings) -> tuple[str, ...]:
    """Those of the certificate; none where it cannot serve, which is not what was asked."""
    pair = pair_of(settings)
    try:
        return () if pair is None else load_files(pair, now=datetime.now(UTC)).names
    except SettingsError:
        return ()


class CommandOptions(usage.Options):
    """The words of ``docxy``."""

    synopsis = "Usage: docxy"
    longdesc = """\
Looks after a docxy mirror. The mirror itself is run by twistd: see
twistd docxy --help. Exit status: 0 fine, 1 something is wrong, 2 no such
command or option. docxy COMMAND --help shows the options of a command."""

    subCommands = [  # noqa: N815, RUF012 - Twisted reads it from the class
        ["client-config", None, ClientConfigOptions, "Print what to put into clients' configuration."],
    ]

    def opt_version(self) -> NoReturn:
        """Show the version and leave."""
        sys.stdout.write(f"docxy {__version__}\n")
        sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Do what the command line says; ``arguments`` are its words, of this process where none are given.

    :raises SystemExit: always, with the exit status.
    """
    options = CommandOptions()
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else list(arguments))
    except usage.UsageError as error:
        _fail(f"{error}; see docxy --help", USAGE)
    if options.subCommand is None:
        sys.stderr.write(str(options))
        raise SystemExit(USAGE)
    try:
        raise SystemExit(cast("Word", options.subOptions).run())
    except SettingsError as error:
        _fail(str(error), 1)


def _fail(text: str, status: int) -> NoReturn:
    sys.stderr.write(f"docxy: {text}\n")
    raise SystemExit(status)
