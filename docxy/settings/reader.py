"""
One mapping to `Settings`, or the first thing that is wrong with it.

Owns defaults that depend on other values, and what must not stand together.
Knows nothing of files, environment and flags: `docxy.settings.sources` makes
the mapping, and no file that it names is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Literal, cast

from docxy.settings import forms
from docxy.settings.access import access_warnings, check_keys, interface_of, is_open, read_access
from docxy.settings.acme import read_acme
from docxy.settings.tables import Table
from docxy.settings.upstreams import read_upstreams
from docxy.settings.values import (
    AcmeSettings,
    AdminSettings,
    LimitSettings,
    LogSettings,
    Network,
    ServerSettings,
    Settings,
    SettingsError,
    TLSSettings,
    UpstreamSettings,
)

PLAIN_LISTEN = "tcp:5000:interface=127.0.0.1"
"""The listener where there is no certificate."""

TLS_LISTEN = "ssl:443"
"""The listener where there is one."""

_Format = Literal["text", "json"]
_Level = Literal["debug", "info", "warn", "error"]
_FIELDS = re.compile(r"(?<!\\):")


def read(mapping: Mapping[str, object]) -> Settings:
    """
    The settings that a mapping of tables says, with every default filled in.

    :raises SettingsError: its key is dotted; an upstream's is ``upstream[NAME].key``.
    """
    root = Table("", "", mapping)
    tls = _read_tls(root.table("tls"))
    acme = read_acme(root.table("acme")) if "acme" in root else None
    _check_one_certificate(tls, acme)
    server = _read_server(root.table("server"), has_certificate=bool(tls.cert or acme))
    settings = Settings(
        server=server,
        upstreams=read_upstreams(root),
        tls=tls,
        acme=acme,
        limits=_read_limits(root.table("limits")),
        log=_read_log(root.table("log")),
        admin=_read_admin(root.table("admin"), server),
        access=read_access(root.table("access")),
    )
    _check_acme(settings)
    check_keys(settings)
    _check_accounts(settings)
    _check_default(settings.upstreams)
    warnings = (
        *_server_warnings(settings, root.table("server")),
        *_upstream_warnings(settings.upstreams),
        *_admin_warnings(settings.admin),
        *access_warnings(settings),
    )
    return replace(settings, warnings=warnings)


def own_certificate(listener: str) -> bool:
    """Whether an endpoint is an ``ssl:`` one that takes docxy's certificate, not one of its own."""
    return listener.startswith("ssl:") and "privateKey=" not in listener and "certKey=" not in listener


def _read_tls(table: Table) -> TLSSettings:
    cert, key = table.value("cert", forms.plain), table.value("key", forms.plain)
    for missing, value, other in (("cert", cert, key), ("key", key, cert)):
        if value is None and other is not None:
            raise table.error(missing, "is missing", "give the certificate chain and its key together")
    return TLSSettings(cert, key, table.flag("bulk", True))


def _check_one_certificate(tls: TLSSettings, acme: AcmeSettings | None) -> None:
    if tls.cert is not None and acme is not None:
        problem = "contradicts tls.cert: either docxy obtains the certificate, or it is given"
        raise SettingsError("acme.domains", problem, "keep one of the two")


def _check_acme(settings: Settings) -> None:
    """The authority looks for what it certifies at a listener that shows docxy's certificate."""
    if settings.acme is not None and not any(map(own_certificate, settings.server.listen)):
        raise SettingsError("acme.domains", "no listener uses the certificate", "listen on ssl:443")


def _read_limits(table: Table) -> LimitSettings:
    found: dict[str, Any] = {}
    for one in fields(LimitSettings):
        read_one = table.count if isinstance(one.default, int) else table.seconds
        found[one.name] = read_one(one.name, cast("Any", one.default))
    return LimitSettings(**found)


def _read_log(table: Table) -> LogSettings:
    default = LogSettings()
    return LogSettings(
        format=cast("_Format", table.word("format", "text", "json") or default.format),
        level=cast("_Level", table.word("level", "debug", "info", "warn", "error") or default.level),
    )


def _read_admin(table: Table, server: ServerSettings) -> AdminSettings:
    listen = table.value("listen", forms.endpoint)
    for name, listeners in (("listen", server.listen), ("redirect", server.redirect)):
        if listen in listeners:
            raise table.error("listen", f"{listen} is in server.{name} too", "choose another port or path")
    return AdminSettings(listen)


def _read_server(table: Table, has_certificate: bool) -> ServerSettings:
    listen = table.some("listen", forms.endpoint) or (TLS_LISTEN if has_certificate else PLAIN_LISTEN,)
    redirect = table.values("redirect", forms.endpoint)
    urls = table.some("public_url", forms.base_url) or ()
    server = ServerSettings(
        listen=listen,
        redirect=tuple(_plain_twins(listen)) if redirect is None else redirect,
        public_urls=tuple(url.base for url in urls),
        trusted_proxies=_trusted_proxies(table),
        drain=table.seconds("drain", 30.0, least=0.0),
        secret_path=table.value("secret_path", forms.secret),
        allow=table.some("allow", forms.network) or (),
    )
    _check_listeners(server, has_certificate, table)
    return server


def _plain_twins(listen: tuple[str, ...]) -> Iterator[str]:
    """Port 80 beside each port 443 of ours, on the same interface."""
    for listener in listen:
        kind, *arguments = _FIELDS.split(listener)
        if kind == "ssl" and (arguments[0] == "443" or "port=443" in arguments):
            yield ":".join(("tcp:80", *(one for one in arguments if one.startswith("interface="))))


def _trusted_proxies(table: Table) -> tuple[Network, ...]:
    written = table.get("trusted_proxies")
    if isinstance(written, bool):
        return forms.LOOPBACK if written else ()
    return table.values("trusted_proxies", forms.network) or ()


def _check_listeners(server: ServerSettings, has_certificate: bool, table: Table) -> None:
    bare = [listener for listener in server.listen if own_certificate(listener)]
    if bare and not has_certificate:
        problem = f"{bare[0]} needs a certificate"
        raise table.error(
            "listen", problem, "set tls.cert and tls.key (--cert, --key) or --acme, or listen on tcp:"
        )
    both = set(server.listen) & set(server.redirect)
    if both:
        raise table.error("redirect", f"{min(both)} is in server.listen too", "remove one of the two")
    has_https = any(one.startswith(("ssl:", "https:")) for one in (*server.listen, *server.public_urls))
    if server.redirect and not has_https:
        problem = "has no https URL to send clients to"
        raise table.error("redirect", problem, "set server.public_url, or remove server.redirect")


def _check_accounts(settings: Settings) -> None:
    """An account opens its private images to whoever may ask the mirror: so somebody must be kept out."""
    if not is_open(settings):
        return
    for upstream in settings.upstreams:
        if upstream.account is not None and not upstream.repositories:
            raise SettingsError(
                f"upstream[{upstream.name}].username",
                "opens all that this account may read to everybody",
                "add repositories = [...], server.secret_path or an [[access.key]], "
                "or set access.allow to your clients' networks alone",
            )


def _check_default(upstreams: tuple[UpstreamSettings, ...]) -> None:
    """Clients learn at ``/v2/`` whether to fetch tokens: a default that says no says it for all."""
    default, *others = upstreams
    if default.auth == "passthrough" and default.needs_token is not False:
        return
    for other in others:
        if other.auth == "passthrough" and other.prefixes and other.needs_token is not False:
            raise SettingsError(
                f"upstream[{other.name}].auth",
                f"the first upstream, {default.name}, needs no token, so clients bring none for {other.name}",
                f'set auth = "own" for {other.name}, or list it first',
            )


def _server_warnings(settings: Settings, table: Table) -> Iterator[str]:
    server = settings.server
    if table.get("trusted_proxies") is True:
        yield "server.trusted_proxies: true means the proxies on this machine; list others by their networks"
    if any(net.prefixlen == 0 for net in server.trusted_proxies):
        yield "server.trusted_proxies: any client may claim any address; list your proxies alone"
    if settings.tls.cert and not any(own_certificate(listener) for listener in server.listen):
        yield "tls.cert: no listener uses it; only ssl: listeners without key arguments do"


def _admin_warnings(admin: AdminSettings) -> Iterator[str]:
    if admin.listen is not None and _is_open(admin.listen):
        yield (
            f"admin.listen: {admin.listen} shows who pulls what to everybody who reaches it; "
            "listen on loopback or unix:, or guard it by a firewall"
        )


def _is_open(listener: str) -> bool:
    """Whether an endpoint may be reached from other machines; of an inherited socket nothing is known."""
    interface = interface_of(listener)
    return interface is not None and not forms.is_loopback(interface)


def _upstream_warnings(upstreams: tuple[UpstreamSettings, ...]) -> Iterator[str]:
    for upstream in upstreams:
        for url in upstream.urls:
            if url.startswith("http:"):
                yield f"upstream[{upstream.name}].url: {url} is not encrypted: tokens can be read on the way"
