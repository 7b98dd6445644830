"""
``twistd docxy``: the flags, and the service that they ask for.

Owns the names and the help of the flags.  Knows nothing of what they mean:
`docxy.settings.sources` merges them with environment and file.  Imports
nothing heavy, since ``twistd --help`` reads this module: above all no reactor.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.python import usage

from docxy import __version__
from docxy.settings.sources import load, working_folder
from docxy.settings.values import Settings, SettingsError

if TYPE_CHECKING:
    from twisted.application.service import IService

_LONGDESC = """\
A mirror of container registries. Without options it mirrors Docker Hub: with a
certificate in /etc/docxy/tls on port 443, else on http://127.0.0.1:5000. Each
option may stand in the environment or in /etc/docxy/docxy.toml as well; an
option beats the environment, which beats the file."""


class Options(usage.Options):
    """The flags of ``twistd docxy``, by their long names; a repeatable one is a list."""

    synopsis = "[options]"
    longdesc = _LONGDESC

    optParameters = [  # noqa: RUF012 - Twisted reads it from the class
        ["config", "c", None, "Settings file, TOML (default: /etc/docxy/docxy.toml where it exists)."],
        ["cert", None, None, "Certificate chain, PEM (default: /etc/docxy/tls/fullchain.pem)."],
        ["key", None, None, "Its private key, PEM, not encrypted (default: /etc/docxy/tls/privkey.pem)."],
        ["log-format", None, None, "text or json (default: text)."],
        ["log-level", None, None, "debug, info, warn or error (default: info)."],
        ["admin", None, None, "Endpoint for /metrics and /status (default: none)."],
        ["cache", None, None, "Not in this version."],
        ["cache-size", None, None, "Not in this version."],
        ["acme", None, None, "Names to obtain a certificate for, with commas between them."],
    ]

    optFlags = [  # noqa: RUF012 - Twisted reads it from the class
        ["acme-agree-tos", None, "You agree to the terms of service of the authority that --acme asks."],
    ]

    def opt_listen(self, endpoint: str) -> None:
        """Endpoint that serves clients, may be repeated (default: ssl:443, or tcp:5000 on loopback)."""
        self._add("listen", endpoint)

    def opt_redirect(self, endpoint: str) -> None:
        """Endpoint that only redirects to https, may be repeated; none: no such (default: tcp:80)."""
        self._add("redirect", endpoint)

    def opt_public_url(self, url: str) -> None:
        """What clients call us, like https://mirror.example.com, may be repeated."""
        self._add("public-url", url)

    def opt_behind_proxy(self, network: str) -> None:
        """Network whose X-Forwarded-For and -Proto are believed, may be repeated; true: loopback."""
        self._add("behind-proxy", network)

    def opt_upstream(self, upstream: str) -> None:
        """Registry to mirror, NAME or NAME=URL, may be repeated (default: docker.io)."""
        self._add("upstream", upstream)

    def opt_version(self) -> NoReturn:
        """Show the version and leave."""
        sys.stdout.write(f"docxy {__version__}\n")
        sys.exit(0)

    def _add(self, name: str, value: str) -> None:
        found: list[Any] = self.setdefault(name, [])
        found.append(value)


def makeService(options: Options) -> IService:
    """
    The service that ``options``, the environment and the settings file describe.

    :raises SystemExit: with one line that names the wrong setting and its
        remedy. (A `usage.UsageError` would print the whole help around it.)
    """
    try:
        return _build(options)
    except SettingsError as error:
        raise SystemExit(f"docxy: {error}") from None


def _build(options: Options) -> IService:
    from twisted.internet import reactor

    from docxy.service import build_service

    folder = working_folder()

    def read() -> Settings:
        return load(options, os.environ, folder=folder)

    settings = read()
    try:
        return build_service(reactor, settings, read)
    except SettingsError as error:
        raise error.as_given(settings.given) from None
