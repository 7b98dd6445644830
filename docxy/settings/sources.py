"""
Where settings come from: flag beats environment beats file beats default.

Owns the merge of the four into one mapping, and the names by which the
operator gave each value.  Knows nothing of what values mean:
`docxy.settings.reader` does.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from docxy.registries import canonical
from docxy.settings.files import check_files, password_warnings
from docxy.settings.forms import WITH_USER
from docxy.settings.given import Given
from docxy.settings.older import OLDER, listeners, truth
from docxy.settings.reader import own_certificate, read
from docxy.settings.tables import later
from docxy.settings.upstreams import name_of
from docxy.settings.values import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Places:
    """Files that are used where they exist and nothing else is said."""

    config: str = "/etc/docxy/docxy.toml"
    cert: str = "/etc/docxy/tls/fullchain.pem"
    key: str = "/etc/docxy/tls/privkey.pem"


@dataclass(frozen=True, slots=True)
class Way:
    """One setting's flag and variable, and the table and key that they stand for."""

    flag: str
    variable: str
    table: str
    key: str
    repeats: bool = False


WAYS = (
    Way("cert", "DOCXY_CERT_PATH", "tls", "cert"),
    Way("key", "DOCXY_KEY_PATH", "tls", "key"),
    Way("listen", "DOCXY_LISTEN", "server", "listen", repeats=True),
    Way("redirect", "DOCXY_REDIRECT", "server", "redirect", repeats=True),
    Way("public-url", "DOCXY_PUBLIC_URL", "server", "public_url", repeats=True),
    Way("behind-proxy", "DOCXY_BEHIND_PROXY", "server", "trusted_proxies", repeats=True),
    Way("acme", "DOCXY_ACME", "acme", "domains"),
    Way("acme-agree-tos", "DOCXY_ACME_AGREE_TOS", "acme", "agree_tos"),
    Way("log-format", "DOCXY_LOG_FORMAT", "log", "format"),
    Way("log-level", "DOCXY_LOG_LEVEL", "log", "level"),
    Way("admin", "DOCXY_ADMIN", "admin", "listen"),
)
"""Settings that are one value or one list of words."""

CONFIG = Way("config", "DOCXY_CONFIG", "", "")
UPSTREAM = Way("upstream", "DOCXY_UPSTREAM", "", "upstream", repeats=True)
LATER_WAYS = (
    Way("cache", "DOCXY_CACHE", "cache", ""),
    Way("cache-size", "DOCXY_CACHE_SIZE", "cache", ""),
)
"""Flags and variables whose part does not exist yet."""

_EFFECTIVE = (*(way.variable for way in (CONFIG, *WAYS, UPSTREAM)), *OLDER)
VARIABLES = (*_EFFECTIVE, *(way.variable for way in LATER_WAYS))
"""Every variable that docxy reads."""

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_COMMAS = re.compile(r"[,\s]+")
_AT = re.compile(r"(.*) \(at (.*)\)", re.DOTALL)


def working_folder() -> str:
    """The folder that the process is in; empty where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def load(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    places: Places | None = None,
    folder: str | None = None,
) -> Settings:
    """
    The settings of this start: ``options`` are the flags by their long names.

    ``folder`` is what file names in flags and variables are relative to; None:
    the one that the process is in, which a daemon leaves.  Empty: none, and
    only whole paths are understood.

    :raises SettingsError: its key is the flag or the variable that was given,
        or the settings key and its file.
    """
    places = places or Places()
    variables = {name: text for name in VARIABLES if (text := environ.get(name, "").strip())}
    merge = _Merge(options, variables, working_folder() if folder is None else folder)
    try:
        merge.add_all(places)
        settings = read(merge.mapping)
        check_files(settings)
    except SettingsError as error:
        raise error.as_given(merge.given()) from None
    given = merge.given()
    extra = (*merge.warnings, *password_warnings(settings, given), *_environment_warnings(environ))
    return replace(settings, warnings=(*settings.warnings, *extra), given=given)


class _Merge:
    """The mapping as it grows, and who gave what."""

    def __init__(self, options: Mapping[str, object], environ: Mapping[str, str], folder: str) -> None:
        self.mapping: dict[str, Any] = {}
        self.warnings: list[str] = []
        self._options = options
        self._environ = environ
        self._folder = folder
        self._file: str | None = None
        self._from_file: frozenset[str] = frozenset()
        self._given: dict[str, str] = {}

    def add_all(self, places: Places) -> None:
        self._refuse_later()
        self._add_file(places)
        for way in WAYS:
            self._add(way)
        self._add_older(places)
        self._add_certificate(places)
        self._add_upstreams()

    def given(self) -> Given:
        """Who gave what, as far as it is known."""
        return Given(self._given, self._file, self._from_file)

    def _whole(self, path: str, source: str) -> str:
        if not self._folder and not os.path.isabs(path):
            raise SettingsError(
                source,
                f"{path} is in no folder: docxy's own is gone",
                "write the whole path, or start docxy elsewhere",
            )
        return os.path.normpath(os.path.join(self._folder, path))

    def _value(self, way: Way) -> tuple[Any, str] | None:
        """A flag's value, else its variable's, with the name of the one that was given."""
        flag = self._options.get(way.flag)
        if flag not in (None, [], 0):  # 0: a flag without a value that was not given
            return flag, f"--{way.flag}"
        if way.variable in self._environ:
            text = self._environ[way.variable]
            return (text.split() if way.repeats else text), way.variable
        return None

    def _refuse_later(self) -> None:
        for way in LATER_WAYS:
            given = self._value(way)
            if given is not None:
                raise later(given[1])

    def _add_file(self, places: Places) -> None:
        given = self._value(CONFIG)
        if given is None and not os.path.exists(places.config):
            return
        path, source = given or (places.config, "config")
        self._file = self._whole(path, source)
        self.mapping = _parse(self._file, source)
        _resolve(self.mapping, os.path.dirname(self._file))
        self._from_file = frozenset(self.mapping)

    def _put(self, table: str, key: str, value: object, source: str) -> None:
        values = self.mapping.setdefault(table, {})
        if isinstance(values, dict):  # else the reader refuses what the file has there
            values[key] = value
            self._given[f"{table}.{key}"] = source

    def _peek(self, table: str, key: str) -> object:
        values = self.mapping.get(table)
        return values.get(key) if isinstance(values, dict) else None

    def _add(self, way: Way) -> None:
        given = self._value(way)
        if given is None:
            return
        value, source = given
        if way.table == "tls":
            value = self._whole(value, source) if value else value
        elif way.key == "redirect" and value == ["none"]:
            value = []
        elif way.key == "domains":
            value = [word for word in _COMMAS.split(value) if word]
        elif way.key == "agree_tos":
            value = truth(str(value)) if truth(str(value)) is not None else value
        elif way.key == "trusted_proxies" and len(value) == 1 and truth(value[0]) is not None:
            value = truth(value[0])
        self._put(way.table, way.key, value, source)

    def _has_acme(self) -> bool:
        return "acme" in self.mapping

    def _add_older(self, places: Places) -> None:
        """The older variables are environment too: above the file, below flags."""
        has_certificate = self._peek("tls", "cert") is not None or self._has_acme() or _has_pair(places)
        found = listeners(self._environ, has_certificate)
        for key, value in (("listen", found.listen), ("redirect", found.redirect)):
            if value is not None and not self._options.get(key) and not self._options.get("listen"):
                self._put("server", key, value, found.source)

    def _add_certificate(self, places: Places) -> None:
        """The default pair, where nothing else is said and a listener may use it."""
        listen = self._peek("server", "listen")
        texts = [listen] if isinstance(listen, str) else listen
        wanted = not isinstance(texts, list) or any(own_certificate(str(text)) for text in texts)
        if (
            not wanted
            or self._has_acme()
            or self._peek("tls", "cert") is not None
            or self._peek("tls", "key") is not None
        ):
            return
        if _has_pair(places):
            self._put("tls", "cert", places.cert, "tls.cert")
            self._put("tls", "key", places.key, "tls.key")
        elif os.path.isfile(places.cert) or os.path.isfile(places.key):
            self.warnings.append(f"tls: of {places.cert} and {places.key} only one is there, and is not used")

    def _add_upstreams(self) -> None:
        """Flags or the variable decide the list and its order; an entry of the file keeps its other keys."""
        given = self._value(UPSTREAM)
        if given is None:
            return
        words, source = given
        self._given["upstream"] = source
        written = self.mapping.get("upstream")
        entries = {name_of(item): item for item in written} if isinstance(written, list) else {}
        self.mapping["upstream"] = [_entry(word, entries) for word in words]
        for position, entry in enumerate(self.mapping["upstream"], 1):
            name = canonical(entry["name"])
            keys = (".name", ".url") if name in entries else ("", ".name")
            self._given |= {f"upstream[{word}]{key}": source for word in (name, position) for key in keys}


def _entry(word: str, entries: Mapping[str | None, Any]) -> dict[str, Any]:
    if "@" in word:
        # Before it is taken apart: a password may hold what parts name and URL.
        raise SettingsError("upstream", *WITH_USER)
    name, has_url, url = word.partition("=")
    entry = dict(entries.get(canonical(name), {"name": name}))
    return entry | {"url": url} if has_url else entry


def _parse(path: str, source: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})"
        raise SettingsError(source, problem, "name a TOML file that docxy may read") from None
    except UnicodeDecodeError:
        raise SettingsError(source, f"{path} is not UTF-8", "save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        problem = _AT.sub(r"\2: \1", str(error))
        raise SettingsError(source, f"{path}: {problem}", "mend that line, it is not TOML") from None


def _resolve(mapping: dict[str, Any], folder: str) -> None:
    """File names in a settings file are relative to that file, in place."""
    upstreams = mapping.get("upstream")
    entries = upstreams if isinstance(upstreams, list) else []
    for table, keys in (
        (mapping.get("tls"), ("cert", "key")),
        (mapping.get("acme"), ("ca", "eab_hmac_file", "state")),
        (mapping.get("access"), ("state",)),
        *((one, ("ca", "password_file")) for one in entries),
    ):
        for key in keys:
            if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
                table[key] = os.path.join(folder, table[key])


def _has_pair(places: Places) -> bool:
    return os.path.isfile(places.cert) and os.path.isfile(places.key)


def _environment_warnings(environ: Mapping[str, str]) -> Iterator[str]:
    proxies = [name for name in environ if name.upper() in _PROXIES and environ[name]]
    if proxies:
        yield f"{', '.join(sorted(proxies))}: is not supported, upstreams are met directly"
    for name in sorted(environ):
        near = get_close_matches(name, _EFFECTIVE, 1, 0.85)
        if name.startswith("DOCXY_") and name not in VARIABLES and near:
            yield f"{name}: is unknown and has no effect; {near[0]} is known"
