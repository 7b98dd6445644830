"""
Tables of settings: which keys there are, and one typed value out of one key.

Owns the closed lists of keys and the types of their values.  Knows nothing of
what a value means or of how values fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from docxy.settings.forms import Malformed, shown, size
from docxy.settings.values import SettingsError

T = TypeVar("T")

KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("server", "tls", "acme", "upstream", "network", "limits", "log", "admin", "access"),
    "server": ("listen", "redirect", "public_url", "trusted_proxies", "drain", "secret_path", "allow"),
    "tls": ("cert", "key", "bulk"),
    "acme": (
        "domains",
        "email",
        "directory",
        "ca",
        "eab_kid",
        "eab_hmac_file",
        "key_type",
        "profile",
        "agree_tos",
        "state",
    ),
    "upstream": (
        "name",
        "url",
        "hosts",
        "prefix",
        "library",
        "ca",
        "realm",
        "service",
        "redirects",
        "auth",
        "username",
        "password_file",
        "repositories",
        "deny_repositories",
        "stall",
        "crawl",
        "connections",
        "segment",
        "parallel_from",
        "verify",
        "network",
    ),
    "network": ("family", "source", "allow"),
    "limits": (
        "relays",
        "relays_per_client",
        "connections",
        "connections_per_client",
        "asks",
        "asks_per_client",
        "request_headers",
        "client_stall",
        "answer",
        "first_header",
        "attempt",
        "mend",
        "mend_attempts",
    ),
    "log": ("format", "level"),
    "admin": ("listen",),
    "access": (
        "allow",
        "deny",
        "requests",
        "requests_per_client",
        "rate",
        "rate_per_client",
        "budget",
        "state",
        "key",
    ),
    "key": ("name", "path", "requests", "rate", "budget"),
}
"""Every table and its keys; the table without a name is the file itself."""

LATER: Mapping[str, tuple[str, ...]] = {
    "": ("cache",),
}
"""Keys whose part does not exist yet."""

_LONGEST = 86_400.0  # seconds; nothing in docxy waits for more than a day
_MOST = 1_000_000
_MAX_ITEMS = 1000
_KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
}


def later(key: str) -> SettingsError:
    """The refusal of a key whose part does not exist yet."""
    return SettingsError(key, "is of a part that this version lacks", "remove it")


class Table:
    """
    One table: each method takes one key's value out, None where it is absent.

    ``kind`` says which closed list of keys it has, ``path`` how errors name it.

    :raises SettingsError: from every method and for every key out of the list.
    """

    def __init__(self, kind: str, path: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise SettingsError(path, "is not a table", "write its keys below a line in [brackets]")
        self.kind = kind
        self.path = path
        self._values = values
        for key in values:
            self._check_known(str(key))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, name: str) -> object:
        """The value as it came, of whatever type."""
        return self._values.get(name)

    def key(self, name: str) -> str:
        """How errors name the key ``name`` of this table."""
        return f"{self.path}.{name}" if self.path else name

    def error(self, name: str, problem: str, remedy: str) -> SettingsError:
        """The error that names the key ``name`` of this table."""
        return SettingsError(self.key(name), problem, remedy)

    def _check_known(self, name: str) -> None:
        known = KEYS[self.kind]
        if name in LATER.get(self.kind, ()):
            raise later(self.key(name))
        if name not in known:
            near = get_close_matches(name, known, 1)
            remedy = f"write {near[0]}" if near else f"known here: {', '.join(known)}"
            raise SettingsError(self.key(_bare(name)), "is unknown", remedy)

    def table(self, kind: str) -> Table:
        """The table below the key ``kind``, empty where it is absent."""
        return Table(kind, self.key(kind), self._values.get(kind, {}))

    def tables(self, name: str) -> list[object]:
        """The items of an array of tables, not looked into yet."""
        items = self._values.get(name, [])
        if not isinstance(items, list | tuple):
            raise self.error(name, "is not an array of tables", f"write [[{name}]]")
        return list(items)

    def value(self, name: str, parse: Callable[[str], T]) -> T | None:
        """What ``parse`` makes of a string."""
        text = self._values.get(name)
        if text is None:
            return None
        if not isinstance(text, str):
            raise self.error(name, f"is {_kind(text)}, not a string", "put it in quotes")
        return self._parsed(name, text, parse)

    def word(self, name: str, *words: str) -> str | None:
        """One of ``words``, also where it was written as a number."""
        value = self._values.get(name)
        text = str(value) if isinstance(value, str | int) else _kind(value)
        if value is not None and text not in words:
            raise self.error(name, f"is {shown(text)}", f"write {' or '.join(words)}")
        return None if value is None else text

    def values(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...] | None:
        """What ``parse`` makes of each string of a list; a string alone is a list of one."""
        items = self._values.get(name)
        if items is None:
            return None
        texts = [items] if isinstance(items, str) else items
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise self.error(name, "is not a list of strings", 'write ["one", "another"]')
        if len(texts) > _MAX_ITEMS:
            raise self.error(name, "is too long", f"list at most {_MAX_ITEMS}")
        found = tuple(self._parsed(name, text, parse) for text in texts)
        return tuple(dict.fromkeys(found))

    def some(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...] | None:
        """As `values`, where an empty list would be read as its opposite and is refused."""
        found = self.values(name, parse)
        if found == ():
            raise self.error(name, "is empty", "list at least one, or remove the key")
        return found

    def _parsed(self, name: str, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except Malformed as fault:
            raise self.error(name, fault.problem, fault.remedy) from None

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, f"is {_kind(value)}, not true or false", "write true or false")
        return value

    def seconds(self, name: str, default: float, least: float = 0.1) -> float:
        """A time in seconds, from ``least`` to a day."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, f"is {_kind(value)}, not seconds", f"write a number like {default:g}")
        if not least <= value <= _LONGEST:  # false for NaN as well
            raise self.error(name, "is out of bounds", f"write {least:g} to {_LONGEST:.0f} seconds")
        return float(value)

    def count(self, name: str, default: int, least: int = 1, most: int = _MOST) -> int:
        """A whole number, from ``least`` to ``most``."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"is {_kind(value)}, not a whole number", f"write one like {default}")
        if not least <= value <= most:
            raise self.error(name, "is out of bounds", f"write {least} to {most}")
        return value

    def size(self, name: str, least: int, most: int) -> int:
        """Bytes, as a number or with a unit; 0, or from ``least`` to ``most``."""
        value = self._values.get(name, 0)
        if isinstance(value, str):
            value = self._parsed(name, value, size)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"is {_kind(value)}, not a size", 'write one like "500 GB"')
        if value and not least <= value <= most:
            raise self.error(name, "is out of bounds", f"write {least} to {most} bytes, or 0 for no bound")
        return value


def _bare(name: str) -> str:
    """A key as TOML writes it: keys of strange characters in quotes."""
    return name if name.isascii() and name.isidentifier() else shown(name)


def _kind(value: object) -> str:
    """What TOML calls the type of ``value``."""
    return _KINDS.get(type(value), "of another type")
