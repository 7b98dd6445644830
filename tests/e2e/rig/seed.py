"""
The images that the rig's registries hold: every shape that the tests pull.

Owns their bytes, made from seeded noise, and the digests to compare with.
"""

from __future__ import annotations

import gzip
import io
import json
import platform
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .writer import Writer, sha256

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

MIB = 1 << 20
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
TEN_LAYERS = (1 << 10, 4 << 10, 32 << 10, 256 << 10, MIB, 2 * MIB, 8 * MIB, 24 * MIB, 64 * MIB, 200 * MIB)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: what it is called and how large it is."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """
    What one name stands for.

    ``digest`` is that of the manifest or index under the tag, ``own`` that of
    the manifest for this machine's architecture (the same where there is no index).
    """

    registry: str
    repository: str
    tag: str
    digest: str
    own: str
    media_type: str
    size: int  # of what ``digest`` names
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """The full name, as a client is given it."""
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def path(self) -> str:
        """The name without its registry."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """The media types of one family of images, and how its layers are packed."""

    manifest: str
    config: str
    layer: str
    index: str

    def pack(self, tar: bytes) -> bytes:
        if self.layer.endswith("zstd"):
            packed = subprocess.run(["zstd", "-q", "-1", "-c"], input=tar, stdout=subprocess.PIPE, check=True)
            return packed.stdout
        return gzip.compress(tar, 0, mtime=0)  # Noise does not shrink: save the time.


_OCI = _Kind(
    OCI_MANIFEST,
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    OCI_INDEX,
)
_ZSTD = _Kind(OCI_MANIFEST, _OCI.config, "application/vnd.oci.image.layer.v1.tar+zstd", OCI_INDEX)
_DOCKER = _Kind(
    DOCKER_MANIFEST,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    DOCKER_LIST,
)


def noise(seed: str, size: int) -> Iterator[bytes]:
    """``size`` bytes that do not compress, the same for the same seed, a MiB at a time."""
    source = random.Random(seed)
    for start in range(0, size, MIB):
        yield source.randbytes(min(MIB, size - start))


def _tar(seed: str, size: int) -> bytes:
    raw = b"".join(noise(seed, size))
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(f"{seed.replace('/', '-')}/noise")
        entry.size = len(raw)
        archive.addfile(entry, io.BytesIO(raw))
    return made.getvalue()


class Seed:
    """Pushes images into one repository of one registry."""

    def __init__(self, writer: Writer, registry: str, repository: str) -> None:
        self._writer = writer
        self._registry = registry
        self._repository = repository

    def blob(self, media_type: str, raw: bytes) -> dict[str, Any]:
        """Push a blob; its descriptor."""
        return {
            "mediaType": media_type,
            "digest": self._writer.blob(self._repository, raw),
            "size": len(raw),
        }

    def manifest(self, document: dict[str, Any], tag: str = "") -> dict[str, Any]:
        """Push a manifest, under its digest where there is no tag; its descriptor."""
        raw = json.dumps(document, indent=2).encode()
        digest = sha256(raw)
        self._writer.manifest(self._repository, tag or digest, raw, document["mediaType"])
        return {"mediaType": document["mediaType"], "digest": digest, "size": len(raw)}

    def platform(
        self, kind: _Kind, sizes: Sequence[int], architecture: str, tag: str = ""
    ) -> tuple[dict[str, Any], tuple[Layer, ...]]:
        """Push the image of one platform: its descriptor for an index, and its layers."""
        tars = [
            _tar(f"{self._repository}/{architecture}/{number}", size) for number, size in enumerate(sizes)
        ]
        layers = [self.blob(kind.layer, kind.pack(tar)) for tar in tars]
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": {"Cmd": ["/noise"], "Env": ["PATH=/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
            "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "noise"} for _ in tars],
        }
        document = {
            "schemaVersion": 2,
            "mediaType": kind.manifest,
            "config": self.blob(kind.config, json.dumps(config).encode()),
            "layers": layers,
        }
        described = self.manifest(document, tag)
        described["platform"] = {"architecture": architecture, "os": "linux"}
        return described, tuple(Layer(layer["digest"], layer["size"]) for layer in layers)

    def attestation(self, about: dict[str, Any]) -> dict[str, Any]:
        """Push what buildx hangs beside each platform of an index: its descriptor."""
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "of": about["digest"]}).encode()
        config = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [sha256(statement)]},
        }
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(_OCI.config, json.dumps(config).encode()),
            "layers": [self.blob("application/vnd.in-toto+json", statement)],
        }
        return self.manifest(document) | {
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": about["digest"],
            },
        }

    def single(self, kind: _Kind, sizes: Sequence[int], tag: str = "latest") -> Image:
        """Push an image without an index."""
        described, layers = self.platform(kind, sizes, ARCHITECTURE, tag)
        return self._image(described, described, layers, tag)

    def index(self, kind: _Kind, sizes: Sequence[int], tags: Sequence[str], attested: bool) -> Image:
        """Push an index of three platforms, each with its attestation if wanted."""
        described: list[dict[str, Any]] = []
        own: tuple[dict[str, Any], tuple[Layer, ...]] | None = None
        for architecture in dict.fromkeys([ARCHITECTURE, "amd64", "arm64", "s390x"]):
            one, its_layers = self.platform(kind, sizes, architecture)
            own = own or (one, its_layers)
            described += [one, self.attestation(one)] if attested else [one]
        assert own is not None
        document = {"schemaVersion": 2, "mediaType": kind.index, "manifests": described}
        whole = [self.manifest(document, tag) for tag in tags]
        return self._image(whole[0], *own, tags[0])

    def artifact(self, subject: Image) -> str:
        """Push an artifact that refers to an image, and the fallback tag that lists it: its digest."""
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.signature.v1",
            "config": self.blob("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [self.blob("application/json", b'{"signature":"a stand-in"}')],
            "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        }
        described = self.manifest(document)
        described["artifactType"] = document["artifactType"]
        fallback = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described]}
        self.manifest(fallback, subject.digest.replace(":", "-"))
        return str(described["digest"])

    def _image(
        self, whole: dict[str, Any], own: dict[str, Any], layers: tuple[Layer, ...], tag: str
    ) -> Image:
        return Image(
            registry=self._registry,
            repository=self._repository,
            tag=tag,
            digest=whole["digest"],
            own=own["digest"],
            media_type=whole["mediaType"],
            size=whole["size"],
            layers=layers,
        )


@dataclass(frozen=True, slots=True)
class Images:
    """All that is seeded."""

    alpine: Image  # an OCI index with attestations, as buildx pushes
    debian: Image  # a Docker list of schema 2 images, as old ones on Docker Hub are
    hello: Image  # one Docker schema 2 image without a list
    zstd: Image  # OCI layers packed by zstd
    layers: Image  # ten layers, 1 KiB to 200 MiB
    private: Image  # only for who has an account
    app: Image  # of the second registry
    artifact: str  # digest of a manifest with a subject, in alpine's repository


def seed_hub(writer: Writer, others: Writer) -> Images:
    """Fill the Docker Hub of the rig, and its second registry."""

    def at(repository: str) -> Seed:
        return Seed(writer, "docker.io", repository)

    alpine = at("library/alpine").index(_OCI, [300 << 10, 2 * MIB], ["latest", "3.20"], attested=True)
    return Images(
        alpine=alpine,
        debian=at("library/debian").index(_DOCKER, [20 * MIB], ["bookworm"], attested=False),
        hello=at("library/hello").single(_DOCKER, [64 << 10]),
        zstd=at("library/zstd").single(_ZSTD, [100 << 10, 3 * MIB]),
        layers=at("library/layers").single(_OCI, TEN_LAYERS),
        private=at("acme/private").single(_OCI, [32 << 10, MIB]),
        app=Seed(others, "ghcr.io", "org/app").index(_OCI, [50 << 10, MIB], ["v1"], attested=True),
        artifact=at("library/alpine").artifact(alpine),
    )
