"""
What the operator decided, as frozen values.

Owns the shape and the defaults of every setting.  Knows nothing of files,
environment or flags: `docxy.settings.reader` makes these from a mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from docxy.settings.given import Given

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """
    One setting is wrong: ``key`` names it, ``problem`` says how, ``remedy`` what to do.

    Its text is the one line that the operator sees.
    """

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        super().__init__(f"{key}: {problem}; {remedy}")
        self.key = key
        self.problem = problem
        self.remedy = remedy

    def as_given(self, given: Given) -> SettingsError:
        """The same error under what the operator typed."""
        return SettingsError(given.name(self.key), self.problem, self.remedy)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """
    How connections to an upstream leave this machine.

    ``allow`` lists networks that upstream names may resolve to although they
    are not public (for resolvers that answer with stand-in addresses).
    """

    family: Literal["4", "6", "any"] = "any"
    source: str | None = None
    allow: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an upstream that docxy itself uses; the password stays in its file."""

    username: str
    password_file: str


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """
    One registry that is mirrored.

    ``urls`` are base URLs without ``/v2``, tried in order.  ``trusted_hosts``
    are the hosts that the operator's settings name in full: only they may
    have private addresses.  ``redirects`` are host names or ``*.suffix``.
    """

    name: str
    urls: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    library: bool = False
    ca: str | None = None
    realm: str | None = None
    service: str | None = None
    needs_token: bool | None = None  # None: learnt from the upstream at first use
    redirects: tuple[str, ...] = ()
    trusted_hosts: frozenset[str] = frozenset()
    auth: Literal["passthrough", "own"] = "passthrough"
    account: Account | None = None
    repositories: tuple[str, ...] = ()  # globs; empty: all
    deny_repositories: tuple[str, ...] = ()  # globs; they beat ``repositories``
    search_url: str | None = None
    stall: float = 15.0  # seconds
    crawl: int = 0  # bytes a second below which a body is mended; 0: never
    connections: int = 1  # for one large blob
    segment: int = 4 << 20  # bytes of it that one connection fetches at a time
    parallel_from: int = 32 << 20  # bytes from which a blob is large
    verify: bool = True
    network: NetworkSettings = NetworkSettings()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Listeners, names and who is believed."""

    listen: tuple[str, ...]
    redirect: tuple[str, ...] = ()
    public_urls: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    drain: float = 30.0  # seconds
    secret_path: str | None = field(default=None, repr=False)  # whoever reads it may pull
    allow: tuple[Network, ...] = ()  # empty: every client


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """
    The certificate chain and key that `ssl:` listeners without key arguments use.

    ``bulk`` is whether TLS is docxy's own transport on Twisted's, both ways, or Twisted's alone.
    """

    cert: str | None = None
    key: str | None = None
    bulk: bool = True


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """
    The names to obtain a certificate for, and from whom (RFC 8555).

    ``domains`` are host names and addresses, ``ca`` is a further trust root
    for ``directory``; ``eab_kid`` and ``eab_hmac_file`` bind the account to
    one that the operator has with that authority (section 7.3.4).
    """

    domains: tuple[str, ...]
    email: str | None = None
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    ca: str | None = None
    eab_kid: str | None = None
    eab_hmac_file: str | None = None
    key_type: Literal["ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"] = "ec256"
    profile: str | None = None  # one of the directory's
    state: str = "/var/lib/docxy/acme"  # folder of the account and the certificate


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds on counts, and on waits in seconds (DESIGN: Time)."""

    relays: int = 4096
    relays_per_client: int = 256
    connections: int = 4096
    connections_per_client: int = 512
    asks: int = 256  # tokens, logins and searches for which an upstream is asked
    asks_per_client: int = 32
    request_headers: float = 20.0
    client_stall: float = 300.0
    answer: float = 10.0  # ping and token, in all
    first_header: float = 25.0  # manifests and blobs, in all
    attempt: float = 8.0  # each try of those
    mend: float = 150.0  # without a byte, for a body that broke
    mend_attempts: int = 8  # in a row without a byte


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How events are written."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warn", "error"] = "info"


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The listener for metrics and status; None: off."""

    listen: str | None = None


@dataclass(frozen=True, slots=True)
class Allotment:
    """How much one client, one key or all of them may use; 0: as much as there is."""

    requests: int = 0  # a minute
    rate: int = 0  # bytes a second
    budget: int = 0  # bytes a calendar month, in UTC


@dataclass(frozen=True, slots=True)
class KeySettings:
    """A secret path of its own, with what those who have it may use together."""

    name: str
    path: str = field(repr=False)  # whoever reads it may pull
    allotment: Allotment = Allotment()


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """
    Who may use the mirror, and how much of it.

    ``allow`` adds to ``server.allow``, ``deny`` beats both; ``client`` holds
    for each client, ``everybody`` for all together.  ``state`` is the file
    that keeps the month's counts.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    client: Allotment = Allotment()
    everybody: Allotment = Allotment()
    keys: tuple[KeySettings, ...] = ()
    state: str = "/var/lib/docxy/traffic.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it.  The first upstream is the default one."""

    server: ServerSettings
    upstreams: tuple[UpstreamSettings, ...]
    tls: TLSSettings = field(default_factory=TLSSettings)
    acme: AcmeSettings | None = None  # None: certificates come from elsewhere
    limits: LimitSettings = field(default_factory=LimitSettings)
    log: LogSettings = field(default_factory=LogSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    warnings: tuple[str, ...] = ()  # said once at start
    given: Given = field(default_factory=Given, compare=False, repr=False)
