"""
May this client ask for anything at all, and for this repository?

Owns the networks of clients and the patterns of repositories, allowed and
denied.  Knows nothing of requests: who the client is has been settled in
`docxy.policy.proxies`, what it means in `docxy.policy.addressing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from docxy.oci.errors import DENIED
from docxy.oci.names import Repository
from docxy.oci.routes import Kind
from docxy.policy.addresses import inside, unmapped
from docxy.policy.proxies import UNKNOWN
from docxy.settings.values import Network, Settings, UpstreamSettings


class Networks:
    """Which clients are let in: those of ``server.allow`` and ``access.allow`` but for ``access.deny``."""

    def __init__(self, settings: Settings) -> None:
        self._allow = (*settings.server.allow, *settings.access.allow)
        self._deny = settings.access.deny

    def admit(self, client: str) -> None:
        """Raise a 403 `RegistryError` for a client that is not let in."""
        if client == UNKNOWN and (self._allow or self._deny):
            raise DENIED.error(
                "the proxy in front of this mirror names no client, which server.allow and access need; "
                "ask the operator to have it send X-Forwarded-For"
            ).because("network")
        denied = bool(self._deny) and allowed(client, self._deny)
        if denied or not allowed(client, self._allow):
            raise DENIED.error(
                "this mirror is not open to your address; ask the operator to add it to server.allow "
                "or access.allow, or to take it from access.deny"
            ).because("network")


def allowed(address: str, networks: Sequence[Network]) -> bool:
    """
    Whether the client's address is in one of the networks; no networks allow everybody.

    A client without an address (a unix socket whose proxy names nobody) is in none.
    """
    if not networks:
        return True
    found = unmapped(address)
    return found is not None and inside(found, networks)


def permit(upstream: UpstreamSettings, kind: Kind, repository: Repository | None) -> None:
    """Raise a 403 `RegistryError` for what the settings leave out, lists of all repositories among it."""
    if (upstream.repositories or upstream.deny_repositories) and kind in (Kind.CATALOG, Kind.V1_SEARCH):
        raise DENIED.error(
            "this mirror serves chosen repositories only and lists none; "
            f"pull by name, or ask {upstream.name} itself"
        ).because("repository")
    if repository is not None and not within(upstream, repository):
        raise DENIED.error(
            f"{repository} is not among the repositories that this mirror serves; "
            f"ask the operator, or pull it from {upstream.name} itself"
        ).because("repository")


def within(upstream: UpstreamSettings, repository: Repository) -> bool:
    """Whether a repository may be pulled: one that is allowed, where only some are, and not denied."""
    name = str(repository)
    if any(fnmatchcase(name, pattern) for pattern in upstream.deny_repositories):
        return False
    patterns = upstream.repositories
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
