"""
The list of upstreams: what ``[[upstream]]`` and ``[network]`` say, and what is known anyway.

Owns how an entry and the table of known registries make one `UpstreamSettings`,
and that no two entries claim one name.  Knows nothing of the server's own settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Literal, cast

from docxy.registries import DEFAULT_REDIRECTS, KNOWN, Registry, canonical
from docxy.settings import forms
from docxy.settings.forms import Url
from docxy.settings.tables import Table
from docxy.settings.values import Account, NetworkSettings, SettingsError, UpstreamSettings

DEFAULT_UPSTREAM = "docker.io"
MAX_UPSTREAMS = 256
MAX_CONNECTIONS = 16
SEGMENT_BOUNDS = (64 << 10, 64 << 20)  # bytes; shorter ones are all waiting, longer ones all memory
PARALLEL_BOUNDS = (64 << 10, 1 << 40)  # bytes

_Auth = Literal["passthrough", "own"]
_Family = Literal["4", "6", "any"]


def read_upstreams(root: Table) -> tuple[UpstreamSettings, ...]:
    """
    Every upstream in the order written; Docker Hub where there is none.

    :raises SettingsError: also where two entries claim one name, prefix or host.
    """
    network = read_network(root.table("network"), NetworkSettings())
    items = root.tables("upstream") or [{"name": DEFAULT_UPSTREAM}]
    if len(items) > MAX_UPSTREAMS:
        raise SettingsError("upstream", "is too long", f"list at most {MAX_UPSTREAMS}")
    found = tuple(_read_entry(position, item, network) for position, item in enumerate(items, 1))
    _check_unique(found)
    return found


def read_network(table: Table, default: NetworkSettings) -> NetworkSettings:
    """The table's network settings, where it is silent those of ``default``."""
    family = cast("_Family", table.word("family", "4", "6", "any") or default.family)
    source = table.value("source", forms.source_address) or default.source
    if source is not None and family not in ("any", str(ip_address(source).version)):
        raise table.error(
            "source",
            f"{source} is no IPv{family} address, and family is {family}",
            "write an address of that family, or remove family",
        )
    allow = table.values("allow", forms.network)
    return NetworkSettings(family, source, default.allow if allow is None else allow)


def name_of(item: object) -> str | None:
    """The name that an entry of the list bears, aliases resolved; None where it has no valid one."""
    name = item.get("name") if isinstance(item, dict) else None
    return canonical(name) if isinstance(name, str) else None


def _read_entry(position: int, item: object, network: NetworkSettings) -> UpstreamSettings:
    numbered = Table("upstream", f"upstream[{position}]", item)
    name = numbered.value("name", forms.upstream_name)
    if name is None:
        raise numbered.error("name", "is missing", 'write name = "registry.example.com"')
    name = canonical(name)
    return _Entry(name, Table("upstream", f"upstream[{name}]", item)).settings(network)


class _Entry:
    """One entry on its way to `UpstreamSettings`: what is written, and what the table knows."""

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.table = table
        self.registry = KNOWN.get(name)
        self.written = table.some("url", forms.base_url)
        self.urls = self._urls()

    def settings(self, network: NetworkSettings) -> UpstreamSettings:
        table, registry, proper = self.table, self.registry, self._proper_registry()
        realm = self._realm()
        return UpstreamSettings(
            name=self.name,
            urls=self.urls,
            hosts=table.values("hosts", forms.host_name) or (),
            prefixes=self._prefixes(),
            library=table.flag("library", registry is not None and registry.library),
            ca=table.value("ca", forms.plain),
            realm=proper.realm if realm is None and proper else realm,
            service=table.value("service", forms.service) or (proper.service if proper else None),
            needs_token=proper.needs_token if proper else None,
            redirects=self._redirects(),
            trusted_hosts=frozenset(self._trusted_hosts()),
            auth=cast("_Auth", table.word("auth", "passthrough", "own") or "passthrough"),
            account=self._account(),
            repositories=table.some("repositories", forms.repository_glob) or (),
            deny_repositories=table.values("deny_repositories", forms.repository_glob) or (),
            search_url=proper.search_url if proper else None,
            stall=table.seconds("stall", 15.0, least=1.0),
            crawl=table.count("crawl", 0, least=0),
            connections=table.count("connections", 1, most=MAX_CONNECTIONS),
            segment=table.count("segment", 4 << 20, *SEGMENT_BOUNDS),
            parallel_from=table.count("parallel_from", 32 << 20, *PARALLEL_BOUNDS),
            verify=table.flag("verify", True),
            network=read_network(table.table("network"), network),
        )

    def _urls(self) -> tuple[str, ...]:
        if self.written is not None:
            return tuple(url.base for url in self.written)
        if self.registry is None:
            raise self.table.error(
                "url",
                f"{self.name} has no URL and is none of the known names ({', '.join(KNOWN)})",
                f"give its URL, like https://{self.name}",
            )
        return (self.registry.url,)

    def _proper_registry(self) -> Registry | None:
        """
        The table's entry, where the registry itself is among the URLs.

        Realm, service and search are facts about that host: a mirror that
        bears its name may have others, and is asked.
        """
        return self.registry if self.registry and self.registry.url in self.urls else None

    def _redirects(self) -> tuple[str, ...]:
        written = self.table.values("redirects", forms.host_pattern)
        if written is not None:
            return written
        known = self.registry.redirects if self.registry else ()
        foreign = self.registry is None or self.urls != (self.registry.url,)
        return tuple(dict.fromkeys((*known, *DEFAULT_REDIRECTS))) if foreign else known

    def _prefixes(self) -> tuple[str, ...]:
        implied = (self.name,) if set(self.name) & {".", ":"} else ()
        prefix = self.table.value("prefix", forms.component)
        return tuple(dict.fromkeys((*implied, prefix) if prefix else implied))

    def _realm(self) -> str | None:
        realm = self.table.value("realm", forms.url)
        if realm is None:
            return None
        if realm.scheme == "http" and realm.base not in self.urls:
            remedy = f"write https://{realm.host}{realm.rest}"
            raise self.table.error("realm", "is not an https:// URL", remedy)
        return realm.base + realm.rest

    def _trusted_hosts(self) -> Iterable[str]:
        """The hosts named in full here: never those that only docxy's own table names."""
        realm = self.table.value("realm", forms.url)
        named: tuple[Url, ...] = (*(self.written or ()), *((realm,) if realm else ()))
        yield from (url.host for url in named)
        patterns = self.table.values("redirects", forms.host_pattern) or ()
        yield from (pattern for pattern in patterns if not pattern.startswith("*"))

    def _account(self) -> Account | None:
        username = self.table.value("username", forms.plain)
        password_file = self.table.value("password_file", forms.plain)
        if username is None and password_file is None:
            return None
        if username is None:
            raise self.table.error("username", "is missing", "add it, or remove password_file")
        if password_file is None:
            raise self.table.error("password_file", "is missing", "add it, or remove username")
        if self.table.get("auth") != "own":
            raise self.table.error("username", 'needs auth = "own"', "add that, or remove the account")
        return Account(username, password_file)


def _check_unique(upstreams: Iterable[UpstreamSettings]) -> None:
    """Each name, prefix and host leads to one upstream only; names and prefixes are one set of words."""
    words: dict[str, str] = {}
    hosts: dict[str, str] = {}
    names: set[str] = set()
    for upstream in upstreams:
        if upstream.name in names:
            raise SettingsError(f"upstream[{upstream.name}].name", "is there twice", "remove one of the two")
        names.add(upstream.name)
        for word in dict.fromkeys((upstream.name, *upstream.prefixes)):
            _claim(words, word, upstream.name, "name" if word == upstream.name else "prefix")
        for host in upstream.hosts:
            _claim(hosts, host, upstream.name, "hosts")


def _claim(taken: dict[str, str], word: str, name: str, key: str) -> None:
    other = taken.setdefault(word, name)
    if other != name:
        raise SettingsError(f"upstream[{name}].{key}", f"{word} belongs to {other} already", "choose another")
