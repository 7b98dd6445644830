"""
The four variables by which older versions were told where to listen.

Owns what ``DOCXY_HTTP_PORT``, ``DOCXY_HTTPS_PORT``, ``DOCXY_HTTP_ENABLED`` and
``DOCXY_HTTPS_ENABLED`` mean as ``server.listen`` and ``server.redirect``.
Knows nothing of any other variable but those two that say the same newly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from docxy.settings import forms
from docxy.settings.forms import Malformed, shown
from docxy.settings.reader import PLAIN_LISTEN
from docxy.settings.values import SettingsError

HTTP_PORT = "DOCXY_HTTP_PORT"
HTTPS_PORT = "DOCXY_HTTPS_PORT"
HTTP_ENABLED = "DOCXY_HTTP_ENABLED"
HTTPS_ENABLED = "DOCXY_HTTPS_ENABLED"
OLDER = (HTTP_PORT, HTTPS_PORT, HTTP_ENABLED, HTTPS_ENABLED)
"""Their names."""

_NEWER = ("DOCXY_LISTEN", "DOCXY_REDIRECT")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Listeners:
    """What the variables ask for; None leaves a list to the file or the default."""

    listen: list[str] | None = None
    redirect: list[str] | None = None
    source: str = ""  # the variable that decided


def truth(text: str) -> bool | None:
    """What a word for yes or no means; None for any other word."""
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def listeners(environ: Mapping[str, str], has_certificate: bool) -> Listeners:
    """
    The listeners that the older variables describe; nothing where none is set.

    :raises SettingsError: for a bad value, or where a newer variable is set too.
    """
    found = [name for name in OLDER if name in environ]
    newer = [name for name in _NEWER if name in environ]
    if not found:
        return Listeners()
    if newer:
        raise SettingsError(found[0], f"contradicts {newer[0]}", f"keep {newer[0]} alone")
    https, http = _enabled(environ, HTTPS_ENABLED), _enabled(environ, HTTP_ENABLED)
    https_port, http_port = _port(environ, HTTPS_PORT), _port(environ, HTTP_PORT)
    if https is None:
        https = True if https_port or has_certificate else None
    if https:
        return _with_tls(https_port, http, http_port, asked=HTTPS_ENABLED in environ)
    return _without_tls(http, http_port)


def _with_tls(https_port: int | None, http: bool | None, http_port: int | None, asked: bool) -> Listeners:
    listen = [f"ssl:{https_port or 443}"] if https_port or asked else None
    if http is False:
        redirect: list[str] | None = []
    else:
        redirect = [f"tcp:{http_port or 80}"] if http or http_port else None
    return Listeners(listen, redirect, HTTPS_ENABLED if asked else HTTPS_PORT if https_port else HTTP_ENABLED)


def _without_tls(http: bool | None, http_port: int | None) -> Listeners:
    if http is False:
        raise SettingsError(HTTP_ENABLED, "leaves nothing to listen on", "enable it, or give a certificate")
    if http or http_port:
        return Listeners([f"tcp:{http_port or 80}"], [], HTTP_PORT if http_port else HTTP_ENABLED)
    return Listeners([PLAIN_LISTEN], [], HTTPS_ENABLED)


def _enabled(environ: Mapping[str, str], name: str) -> bool | None:
    if name not in environ:
        return None
    value = truth(environ[name])
    if value is None:
        raise SettingsError(name, f"{shown(environ[name])} is neither yes nor no", "write true or false")
    return value


def _port(environ: Mapping[str, str], name: str) -> int | None:
    if name not in environ:
        return None
    try:
        return forms.port(environ[name])
    except Malformed as fault:
        raise SettingsError(name, fault.problem, fault.remedy) from None
