"""
Who may use the mirror, as ``[access]`` says it, and whether that is anybody.

Owns the keys' uniqueness and the warning of a mirror that is open to all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from docxy.settings import forms
from docxy.settings.forms import Malformed, shown
from docxy.settings.tables import Table
from docxy.settings.values import AccessSettings, Allotment, KeySettings, Settings, SettingsError

MAX_KEYS = 256
RATE_BOUNDS = (10_000, 10**12)  # bytes a second; below, clients take a transfer for dead
BUDGET_BOUNDS = (10**6, 10**18)  # bytes

_FIELDS = re.compile(r"(?<!\\):")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_access(table: Table) -> AccessSettings:
    """
    What ``[access]`` says.

    :raises SettingsError: also where two keys have one name or one path.
    """
    default = AccessSettings()
    return AccessSettings(
        allow=table.some("allow", forms.network) or (),
        deny=table.values("deny", forms.network) or (),
        client=_read_allotment(table, "_per_client"),
        everybody=_read_allotment(table),
        keys=_read_keys(table),
        state=table.value("state", forms.plain) or default.state,
    )


def _read_allotment(table: Table, suffix: str = "") -> Allotment:
    return Allotment(
        requests=table.count(f"requests{suffix}", 0, least=0),
        rate=table.size(f"rate{suffix}", *RATE_BOUNDS),
        budget=0 if suffix else table.size("budget", *BUDGET_BOUNDS),
    )


def _read_keys(table: Table) -> tuple[KeySettings, ...]:
    items = table.tables("key")
    if len(items) > MAX_KEYS:
        raise table.error("key", "is too long", f"list at most {MAX_KEYS}")
    keys = tuple(_read_key(f"access.key[{position}]", item) for position, item in enumerate(items, 1))
    for position, key in enumerate(keys):
        before = keys[:position]
        if key.name in [one.name for one in before]:
            raise SettingsError(f"access.key[{key.name}].name", "is there twice", "choose another")
        if key.path in [one.path for one in before]:
            raise SettingsError(f"access.key[{key.name}].path", "is another key's too", "choose another")
    return keys


def _read_key(path: str, item: object) -> KeySettings:
    numbered = Table("key", path, item)
    name = numbered.value("name", _key_name)
    if name is None:
        raise numbered.error("name", "is missing", 'write name = "alice"')
    table = Table("key", f"access.key[{name}]", item)
    secret = table.value("path", forms.secret)
    if secret is None:
        raise table.error("path", "is missing", "choose 20 random letters")
    return KeySettings(name, secret, _read_allotment(table))


def _key_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Malformed(
            f"{shown(text)} is not a key's name",
            "use at most 64 letters and digits, with . _ or - among them",
        )
    return text


def check_keys(settings: Settings) -> None:
    """Raise `SettingsError` where a secret path is what a client may put there for another purpose."""
    words = {word for upstream in settings.upstreams for word in (upstream.name, *upstream.prefixes)}
    named = [(f"access.key[{key.name}].path", key.path) for key in settings.access.keys]
    secret = settings.server.secret_path
    if secret is not None:
        named.insert(0, ("server.secret_path", secret))
    for name, path in named:
        if path in words:
            raise SettingsError(name, "is the name of an upstream", "choose 20 random letters")
    for name, path in named[1:]:
        if path == secret:
            raise SettingsError(name, "is server.secret_path too", "choose another, or remove one of the two")


def is_guarded(settings: Settings) -> bool:
    """Whether some clients are let in and others are not, by network or by a secret."""
    server, access = settings.server, settings.access
    return bool(server.secret_path or server.allow or access.allow or access.keys)


def is_open(settings: Settings) -> bool:
    """Whether everybody may pull, even where the settings say so: a network of all addresses is no guard."""
    networks = (*settings.server.allow, *settings.access.allow)
    return not is_guarded(settings) or (
        not settings.server.secret_path
        and not settings.access.keys
        and any(network.prefixlen == 0 for network in networks)
    )


def access_warnings(settings: Settings) -> Iterator[str]:
    """The `open_warnings` on listeners whose addresses the settings tell."""
    return open_warnings(settings, ((one, interface_of(one)) for one in settings.server.listen))


def open_warnings(settings: Settings, listeners: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    """
    A warning where everybody may pull who reaches a listener that strangers may reach.

    Each has its address, empty for all of them; None where it has none, or it is not known.
    """
    reached = [one for one, address in listeners if not forms.is_private(address)]
    if reached and not is_guarded(settings):
        yield (
            f"server.listen: everybody who reaches {', '.join(reached)} may pull, at your cost; "
            'set server.secret_path or access.allow, which is ["0.0.0.0/0", "::/0"] where that is meant'
        )


def interface_of(listener: str) -> str | None:
    """The address that an endpoint listens on, empty for all of them; None where nothing is known of it."""
    kind, *arguments = _FIELDS.split(listener)
    if kind in ("unix", "systemd") or arguments[:1] == ["systemd"]:
        return None
    named = [one.removeprefix("interface=") for one in arguments if one.startswith("interface=")]
    positional = [one for one in arguments[1:] if "=" not in one]
    return (named or positional or [""])[0].replace("\\", "")
