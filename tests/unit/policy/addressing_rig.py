"""
A mirror of five upstreams, open and behind a secret path, for the tests of addressing.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.routes import Route, parse
from docxy.oci.scopes import parse_scopes
from docxy.policy.addressing import Addressing, Target
from docxy.settings.values import ServerSettings, Settings, UpstreamSettings

HUB = UpstreamSettings(
    name="docker.io",
    urls=("https://near.example", "https://registry-1.docker.io"),
    hosts=("mirror.example", "hub.example:8443"),
    prefixes=("docker.io", "hub"),
    library=True,
)
GHCR = UpstreamSettings(name="ghcr.io", urls=("https://ghcr.io",), prefixes=("ghcr.io",))
QUAY = UpstreamSettings(
    name="quay", urls=("https://quay.io",), hosts=("quay.example", "[::1]:5000"), prefixes=("q",)
)
LAN = UpstreamSettings(name="r.lan:5000", urls=("http://r.lan:5000",), prefixes=("r.lan:5000",))
CHOSEN = UpstreamSettings(
    name="chosen.example",
    urls=("https://chosen.example",),
    prefixes=("chosen.example",),
    repositories=("team/*", "tools"),
)

UPSTREAMS = (HUB, GHCR, QUAY, LAN, CHOSEN)
SECRET = "k7x9qq2m"
DIGEST = "sha256:" + "a" * 64

OPEN = Addressing(Settings(ServerSettings(listen=()), UPSTREAMS))
CLOSED = Addressing(Settings(ServerSettings(listen=(), secret_path=SECRET), UPSTREAMS))
PLAIN_DEFAULT = Addressing(Settings(ServerSettings(listen=()), (GHCR, HUB)))


def route(url: str) -> Route:
    """The route of a GET, from its path and query."""
    path, _, query = url.partition("?")
    return parse(b"GET", path.encode(), query.encode())


def meaning(url: str, host: str | None = None, addressing: Addressing = OPEN) -> tuple[str, str | None, str]:
    """Upstream's name, the repository as spelt there, and what named the upstream."""
    target = addressing.target(route(url), host)
    return target.upstream.name, spelt(target), target.named_by


def spelt(target: Target) -> str | None:
    """The repository as upstream spells it."""
    return None if target.repository is None else str(target.repository)


def token(
    url: str, scopes: str = "", host: str | None = None, addressing: Addressing = OPEN
) -> tuple[str, str, bool]:
    """Upstream's name, the scopes as it spells them, and whether it may see credentials."""
    found = addressing.token_target(route(url), host, parse_scopes([scopes]))
    return found.upstream.name, " ".join(map(str, found.scopes)), found.credentials_allowed


class AddressingTests(SynchronousTestCase):
    """What each class below asks."""

    def refused(self, url: str, addressing: Addressing = OPEN, host: str | None = None) -> RegistryError:
        """The error that a request meets."""
        try:
            target = addressing.target(route(url), host)
        except RegistryError as error:
            return error
        self.fail(f"{url} means {target}")

    def refused_token(self, url: str, scopes: str, addressing: Addressing = OPEN) -> int:
        """The status of the error that a token request meets."""
        try:
            found = token(url, scopes, addressing=addressing)
        except RegistryError as error:
            return error.status
        self.fail(f"{url} with {scopes!r} means {found}")
