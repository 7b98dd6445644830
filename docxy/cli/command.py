"""
The words of ``docxy``, their flags, and their exit status.

Flags that ``twistd docxy`` has too are the same here: the settings are found
in the same places, in the same order.  Installs no reactor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, NoReturn, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.python import usage

from docxy import __version__
from docxy.cli.check import check
from docxy.cli.clients import CLIENTS, advice, shown
from docxy.cli.findings import Finding, document, lines, printable, status
from docxy.cli.health import ailment
from docxy.cli.lookups import look_up_apart
from docxy.cli.screen import once, watch
from docxy.daemon import pair_of
from docxy.settings.sources import load
from docxy.settings.values import Settings, SettingsError
from docxy.tap import Options
from docxy.tls.certificates import load_files

USAGE = 2
"""Exit status for a command line that says nothing; 1 is for what is wrong besides."""

INTERRUPTED = 130
"""Exit status where Ctrl-C came before the end, as shells have it."""


class Word(Protocol):
    """One word of the command line, its flags read."""

    def run(self) -> int:
        """Do it, and give the exit status; raises `SettingsError`."""


class MirrorOptions(Options):
    """The flags of ``twistd docxy``, which each word has too."""

    def settings(self) -> Settings:
        """The settings that ``twistd docxy`` would run by; raises `SettingsError`."""
        return load(self, os.environ)


class CheckOptions(MirrorOptions):
    """``docxy check``."""

    longdesc = """\
Looks at everything that a pull needs: settings, certificate, listeners, public
names, libraries, and each upstream with its token server and its CDN, by one
small image. A line each: fine, a warning (!), or wrong with its remedy. Changes
nothing. Exit status: 0 fine, 1 something is wrong."""

    optFlags = [["json", None, "Print one JSON document."]]  # noqa: RUF012 - Twisted reads it
    optParameters = [  # noqa: RUF012 - Twisted reads it from the class
        ["user", None, None, "User that the service runs as (default: docxy where there is one)."],
    ]

    def opt_image(self, image: str) -> None:
        """Image to try an upstream with, like docker.io/library/alpine:latest, may be repeated."""
        self._add("image", image)

    def run(self) -> int:
        """Look, print, and tell by the status whether something is wrong."""
        found: list[Finding] = []

        async def look(reactor: object) -> None:
            look_up_apart(reactor)
            found.extend(await check(reactor, self.settings, self.get("image") or (), self["user"]))

        run_once(look)
        if self["json"]:
            sys.stdout.write(document(found, __version__))
        else:
            sys.stdout.write(lines(found, sys.stdout.encoding or "ascii"))
        return status(found)


def run_once(work: Callable[[object], Coroutine[Any, Any, None]]) -> None:
    """
    Run the reactor until ``work``, which is given it, has ended.

    :raises SettingsError: ``work`` raised it.
    :raises SystemExit: a signal came first, or ``work`` has a fault, which is logged.
    """
    ends: list[SettingsError | None] = []

    async def watched(reactor: IReactorCore) -> None:
        # Before the reactor runs Ctrl-C is an exception wherever it strikes, and a Deferred keeps it.
        running: Deferred[None] = Deferred()
        reactor.callWhenRunning(running.callback, None)
        await running
        try:
            await work(reactor)
        except SettingsError as error:
            ends.append(error)
        else:
            ends.append(None)

    try:
        react(lambda reactor: Deferred.fromCoroutine(watched(reactor)))
    except SystemExit as ended:
        if not ends:
            raise SystemExit(ended.code or INTERRUPTED) from None
    for error in filter(None, ends):
        raise error


class ClientConfigOptions(MirrorOptions):
    """``docxy client-config``."""

    synopsis = f"[options] [{'|'.join(CLIENTS)}|all]"
    longdesc = """\
Prints what to put into the configuration of each container client, for the
names, the secret path and the upstreams of the settings, and the commands
that apply it. A secret path is shown: the text is for those who may pull."""

    optParameters = [  # noqa: RUF012 - Twisted reads it from the class
        ["access-key", None, None, "Name of the [[access.key]] that the text is for (default: the first)."],
    ]

    clients: Sequence[str] = tuple(CLIENTS)

    def parseArgs(self, client: str = "all") -> None:
        """One client, or all of them."""
        if client != "all" and client not in CLIENTS:
            raise usage.UsageError(f"{client}: is no client; choose {', '.join(CLIENTS)} or all")
        self.clients = tuple(CLIENTS) if client == "all" else (client,)

    def run(self) -> int:
        """Print it."""
        settings = self.settings()
        sys.stdout.write(shown(advice(settings, self.clients, _names(settings), self["access-key"])))
        return 0


def _names(settings: Settings) -> tuple[str, ...]:
    """Those of the certificate; none where it cannot serve, which is not what was asked about."""
    if settings.acme is not None:
        return settings.acme.domains
    pair = pair_of(settings)
    try:
        return () if pair is None else load_files(pair, now=datetime.now(UTC)).names
    except SettingsError:
        return ()


class TopOptions(MirrorOptions):
    """``docxy top``."""

    longdesc = """\
Shows the downloads under way, each second anew, from the admin listener of the
docxy that runs: that of the settings, or --admin. q or Ctrl-C ends it."""

    optFlags = [["once", None, "Print one view and leave."]]  # noqa: RUF012 - Twisted reads it

    def run(self) -> int:
        """Show it."""
        listener = self["admin"] or self.settings().admin.listen
        if listener is None:
            remedy = 'set it, as listen = "unix:/run/docxy/admin.sock", or name it: --admin'
            raise SettingsError("admin.listen", "is not set, and the status is had there alone", remedy)
        if self["once"] or not (sys.stdin.isatty() and sys.stdout.isatty()):
            once(listener)
        else:
            watch(listener)
        return 0


class HealthOptions(MirrorOptions):
    """``docxy health``."""

    synopsis = "[options]"
    longdesc = """\
Asks the docxy that runs with these settings on this machine whether it
serves. Says nothing where it does, and one line where it does not."""

    def run(self) -> int:
        """Ask."""
        found = ailment(self.settings().server.listen)
        if found is not None:
            _fail(found, 1)
        return 0


class CommandOptions(usage.Options):
    """The words of ``docxy``."""

    synopsis = "Usage: docxy"
    longdesc = """\
Looks after a docxy mirror. The mirror itself is run by twistd: see
twistd docxy --help. Exit status: 0 fine, 1 something is wrong, 2 no such
command or option. docxy COMMAND --help shows the options of a command."""

    subCommands = [  # noqa: N815, RUF012 - Twisted reads it from the class
        ["check", None, CheckOptions, "Look at everything that a pull needs, and say what is wrong."],
        ["top", None, TopOptions, "Show the downloads under way."],
        ["client-config", None, ClientConfigOptions, "Print what to put into clients' configuration."],
        ["health", None, HealthOptions, "Ask whether the docxy of these settings serves."],
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot say is no reason to say nothing
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
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _fail(text: str, status: int) -> NoReturn:
    sys.stderr.write(f"docxy: {printable(text)}\n")
    raise SystemExit(status)
