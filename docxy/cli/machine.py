"""
What can be looked at on this machine: settings, certificates and names.

Asks no upstream.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Any

from twisted.internet import defer

from docxy.acme.obtained import Obtained
from docxy.acme.thread import in_thread
from docxy.cli.findings import Finding, failed, fine, refused, warned, warning
from docxy.daemon import pair_of
from docxy.policy.hosts import parse_host
from docxy.settings.forms import is_loopback
from docxy.settings.values import Settings, SettingsError
from docxy.tls.certificates import load_files
from docxy.tls.expiry import reminder_of
from docxy.tls.shown import Certificates, Expiry

LIMIT = 20.0
"""Seconds for the look-up of a name; all are looked up at one time."""

_SET_URL = "set public_url"
_SHOWN_NAMES = 5


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """That they can be read, and what docxy would warn of at its start."""
    names = ", ".join(upstream.name for upstream in settings.upstreams)
    yield fine(
        "settings", settings.given.file or "", f"mirrors {names} on {', '.join(settings.server.listen)}"
    )
    yield from (warned("settings", line) for line in settings.warnings)


def certificates_of(settings: Settings, now: datetime) -> Certificates:
    """
    The certificate of the settings, as the service has it.

    :raises SettingsError: it cannot serve.
    """
    if settings.acme is None:
        return Certificates(lambda: now, pair_of(settings))
    obtained = Obtained(settings.acme, lambda: now)
    return Certificates(lambda: now, obtained.pair, obtained.coming)


def certificate_findings(certificates: Certificates, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Each one that a listener shows, once `listener_findings` has read those of the listeners."""
    for expiry in certificates.expiries():
        try:
            yield _certificate(expiry, now)
        except SettingsError as error:
            yield refused("certificate", error)
    yield from (warned("certificate", line) for line in certificates.warnings(settings.server.public_urls))


def _certificate(expiry: Expiry, now: datetime) -> Finding:
    pair = load_files(expiry.files, now=now)
    left = (pair.not_after - now).days
    text = (
        f"{_listed(pair.names)}; {len(pair.chain)} in the chain; "
        f"ends {pair.not_after:%Y-%m-%d}, in {left} days"
    )
    reminder = reminder_of(expiry, now)
    if reminder is None:
        return fine("certificate", expiry.files.cert, text)
    tell = failed if reminder.urgent else warning
    return tell("certificate", expiry.files.cert, text, "renew it, and see why that did not happen by itself")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (", ".join(names[:_SHOWN_NAMES]) or "no names") + more


async def name_findings(reactor: Any, settings: Settings, certified: Iterable[str] = ()) -> list[Finding]:
    """
    Whether each name that clients or an authority know leads to this machine.

    ``certified`` are the certificates' names, which count where there is no public URL.
    """
    looked = [_looked_up(reactor, name, remedy) for name, remedy in _named(settings, certified).items()]
    return await defer.gatherResults(map(defer.Deferred.fromCoroutine, looked), consumeErrors=True)


def _named(settings: Settings, certified: Iterable[str]) -> dict[str, str]:
    """Each name, and what to mend where it leads nowhere."""
    urls = settings.server.public_urls
    public = {host.name: "mend public_url" for url in urls if (host := parse_host(url.partition("://")[2]))}
    proved = dict.fromkeys(settings.acme.domains if settings.acme else (), "mend acme.domains")
    hosts = {host: f"mend upstream[{one.name}].hosts" for one in settings.upstreams for host in one.hosts}
    shown = {} if public else {name: _SET_URL for name in certified if not name.startswith("*")}
    return {**shown, **hosts, **proved, **public}


async def _looked_up(reactor: Any, name: str, mend: str) -> Finding:
    # A thread of its own: the process's end does not wait for it.
    looking = in_thread(reactor, partial(_name, name, mend)).addTimeout(LIMIT, reactor)
    try:
        return await looking
    except defer.TimeoutError:
        remedy = "see /etc/resolv.conf: the resolver of this machine does not answer"
        return failed("name", name, f"no answer within {LIMIT:g} s", remedy)


def _name(name: str, mend: str) -> Finding:
    """Where it leads; blocks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        remedy = f"add an A or AAAA record with the address of this machine, or {mend}"
        tell = warning if mend == _SET_URL else failed  # a certificate may be for more than the mirror
        return tell("name", name, "does not resolve", remedy)
    addresses = sorted({str(address[0]) for *_, address in found})
    own = [address for address in addresses if _is_own(address)]
    shown = f"leads to {', '.join(addresses)}"
    if not own:
        text = f"{shown}, no address of this machine"
        return warning("name", name, text, "right behind NAT, a proxy or a CDN only")
    if not _is_near(name) and all(map(is_loopback, addresses)):
        text = f"{shown}, on this machine alone"
        return warning("name", name, text, "see in /etc/hosts, and from another machine, where it leads")
    return fine("name", name, shown)


def _is_near(name: str) -> bool:
    """Whether it is meant for this machine alone, wherever it is looked up."""
    return name == "localhost" or is_loopback(name)


def _is_own(address: str) -> bool:
    """Whether a socket of this machine may have this address."""
    family = socket.AF_INET6 if ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((address, 0))
    except OSError:
        return False
    return True
