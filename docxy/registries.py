"""
The registries that need only their name in the settings.

Owns what is public and lasting about each: where it is, which token server
speaks for it, where it sends clients for its blobs.  Knows nothing of what an
operator wrote, and makes no connection.

Sources: the challenges and redirects of each registry as seen by their users;
for ``registry.k8s.io`` also its own ``handlers.go``.  Redirects are suffixes
where the owner moves hosts about: a fixed list breaks on the day of a move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Registry:
    """
    One known registry.

    ``url`` is its base URL without ``/v2``.  ``aliases`` are other names that
    clients use for it.  ``redirects`` are host names or ``*.suffix``.
    """

    name: str
    url: str
    realm: str | None
    service: str | None
    needs_token: bool
    redirects: tuple[str, ...]
    library: bool = False
    search_url: str | None = None
    aliases: tuple[str, ...] = ()


DEFAULT_REDIRECTS = (
    "*.amazonaws.com",
    "*.amazonaws.com.cn",
    "*.cloudfront.net",
    "*.r2.cloudflarestorage.com",
    "*.blob.core.windows.net",
    "*.blob.core.chinacloudapi.cn",
    "storage.googleapis.com",
    "*.storage.googleapis.com",
    "*.pkg.dev",
    "*.aliyuncs.com",
    "*.myqcloud.com",
    "*.myhuaweicloud.com",
    "*.digitaloceanspaces.com",
    "*.backblazeb2.com",
    "*.wasabisys.com",
)
"""The big object stores: where a registry that is not in the table may keep its blobs."""

_GOOGLE = ("storage.googleapis.com", "*.storage.googleapis.com", "*.pkg.dev", "*.gcr.io")
_AMAZON = ("*.amazonaws.com", "*.cloudfront.net")

_TABLE = (
    Registry(
        name="docker.io",
        url="https://registry-1.docker.io",
        realm="https://auth.docker.io/token",
        service="registry.docker.io",
        needs_token=True,
        redirects=("*.docker.com", "*.docker.io", "*.r2.cloudflarestorage.com", *_AMAZON),
        library=True,
        search_url="https://index.docker.io",
        aliases=("index.docker.io", "registry-1.docker.io"),
    ),
    Registry(
        name="ghcr.io",
        url="https://ghcr.io",
        realm="https://ghcr.io/token",
        service="ghcr.io",
        needs_token=True,
        redirects=("*.githubusercontent.com", "*.blob.core.windows.net"),
    ),
    Registry(
        name="quay.io",
        url="https://quay.io",
        realm="https://quay.io/v2/auth",
        service="quay.io",
        needs_token=True,
        redirects=("*.quay.io", *_AMAZON),
    ),
    Registry(
        name="gcr.io",
        url="https://gcr.io",
        realm="https://gcr.io/v2/token",
        service="gcr.io",
        needs_token=True,
        redirects=_GOOGLE,
    ),
    Registry(
        name="registry.k8s.io",
        url="https://registry.k8s.io",
        realm=None,
        service=None,
        needs_token=False,
        redirects=("*.registry.k8s.io", *_GOOGLE, *_AMAZON),  # manifests too: *.pkg.dev
    ),
    Registry(
        name="mcr.microsoft.com",
        url="https://mcr.microsoft.com",
        realm=None,
        service=None,
        needs_token=False,
        redirects=("*.mcr.microsoft.com", "*.blob.core.windows.net"),
    ),
    Registry(
        name="public.ecr.aws",
        url="https://public.ecr.aws",
        realm="https://public.ecr.aws/token/",
        service="public.ecr.aws",
        needs_token=True,
        redirects=_AMAZON,
    ),
    Registry(
        name="registry.gitlab.com",
        url="https://registry.gitlab.com",
        realm="https://gitlab.com/jwt/auth",
        service="container_registry",
        needs_token=True,
        redirects=("storage.googleapis.com", "*.storage.googleapis.com", "*.gitlab-static.net"),
    ),
    Registry(
        name="nvcr.io",
        url="https://nvcr.io",
        realm="https://nvcr.io/proxy_auth",
        service=None,
        needs_token=True,
        redirects=("*.ngc.nvidia.com", *_AMAZON),
    ),
)

KNOWN: Mapping[str, Registry] = MappingProxyType({registry.name: registry for registry in _TABLE})
"""The table, by name."""

_NAMES = {alias: registry.name for registry in _TABLE for alias in registry.aliases}


def canonical(name: str) -> str:
    """The one name of the registry that ``name`` may be an alias of; else ``name`` itself."""
    return _NAMES.get(name, name)
