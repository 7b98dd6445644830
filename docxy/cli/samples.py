"""
Which small image an upstream is tried with.

Owns one public image of long standing for each known registry where there is
one, and how an operator names another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from docxy.oci.errors import RegistryError
from docxy.oci.names import Digest, Reference, Repository, Tag
from docxy.oci.scopes import add_library
from docxy.registries import canonical
from docxy.settings.values import SettingsError, UpstreamSettings

SAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "docker.io": "library/hello-world:latest",
        "ghcr.io": "stefanprodan/podinfo:latest",
        "quay.io": "podman/hello:latest",
        "gcr.io": "distroless/static:latest",
        "registry.k8s.io": "pause:3.9",
        "mcr.microsoft.com": "hello-world:latest",
        "public.ecr.aws": "docker/library/hello-world:latest",
    }
)
"""By the registry's name: of an image only its manifests and its smallest blob are fetched."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image at one upstream; ``is_chosen`` tells that the operator named it."""

    repository: Repository
    reference: Reference
    is_chosen: bool = False

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in str(self.reference) else ':'}{self.reference}"


def samples(upstreams: Iterable[UpstreamSettings], images: Iterable[str]) -> dict[str, Sample]:
    """
    The image for each upstream, by its name: of ``images``, else of `SAMPLES`, else none.

    :raises SettingsError: one of ``images`` is none, or is of no upstream.
    """
    listed = list(upstreams)
    found = {one.name: _parsed(SAMPLES[one.name], False) for one in listed if one.name in SAMPLES}
    for image in images:
        upstream, name = _split(image, listed)
        if upstream.library:
            path, mark, rest = _cut(name)
            name = add_library(path) + mark + rest
        try:
            found[upstream.name] = _parsed(name, True)
        except RegistryError as error:
            raise SettingsError("--image", f"{image} is no image ({error.message})", _REMEDY) from None
    return found


_REMEDY = "write UPSTREAM/REPOSITORY:TAG, like docker.io/library/hello-world:latest"


def _split(image: str, upstreams: list[UpstreamSettings]) -> tuple[UpstreamSettings, str]:
    first, _, rest = image.partition("/")
    for upstream in upstreams:
        if rest and canonical(first) in (upstream.name, *upstream.prefixes):
            return upstream, rest
    names = ", ".join(upstream.name for upstream in upstreams)
    raise SettingsError("--image", f"{image} is of no upstream ({names})", _REMEDY)


def _cut(name: str) -> tuple[str, str, str]:
    """A name's repository, the sign after it, and its tag or digest."""
    path, mark, digest = name.partition("@")
    return (path, mark, digest) if mark else name.partition(":")


def _parsed(name: str, is_chosen: bool) -> Sample:
    path, mark, written = _cut(name)
    reference: Reference = Digest.parse(written) if mark == "@" else Tag.parse(written or "latest")
    return Sample(Repository.parse(path), reference, is_chosen)
