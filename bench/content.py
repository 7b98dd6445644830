"""
What the origin holds: blobs of noise, and an image of ten layers, as files that nginx serves.

Owns their bytes and digests, and knows nothing of who serves them.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.rig.seed import ARCHITECTURE, MIB, OCI_MANIFEST

REPOSITORY = "bench/image"
TAG = "latest"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob: its digest and its size in bytes."""

    digest: str
    size: int

    @property
    def path(self) -> str:
        """Where every registry has it."""
        return f"/v2/{REPOSITORY}/blobs/{self.digest}"


class Content:
    """The files below a folder: ``blobs/DIGEST``, and the manifest, of which ``manifest`` is the digest."""

    def __init__(self, root: Path, layers: Sequence[int]) -> None:
        self.root = root
        self._blobs = root / "blobs"
        self._blobs.mkdir(parents=True)
        self._made: dict[int, list[Blob]] = {}
        self.layers = [self._noise(size) for size in layers]
        manifest = self._keep(self._image())
        self.manifest = manifest.digest
        self.manifest_file = self._blobs / manifest.digest
        self.size = sum(blob.size for blob in self.layers)

    def blobs(self, size: int, count: int = 1) -> list[Blob]:
        """``count`` different blobs of ``size`` bytes each, made when they are first asked for."""
        made = self._made.setdefault(size, [])
        made.extend(self._noise(size) for _ in range(count - len(made)))
        return made[:count]

    def read(self, digest: str) -> memoryview:
        """The bytes of a blob, mapped; raises `OSError` where there is none."""
        with (self._blobs / digest).open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _noise(self, size: int) -> Blob:
        return self._write(os.urandom(min(MIB, size - start)) for start in range(0, size, MIB))

    def _keep(self, raw: bytes) -> Blob:
        return self._write(iter([raw]))

    def _write(self, pieces: Iterator[bytes]) -> Blob:
        hashed, size, growing = hashlib.sha256(), 0, self._blobs / "growing"
        with growing.open("wb") as file:
            for piece in pieces:
                hashed.update(piece)
                size += file.write(piece)
        digest = f"sha256:{hashed.hexdigest()}"
        growing.rename(self._blobs / digest)
        return Blob(digest, size)

    def _image(self) -> bytes:
        config = {"architecture": ARCHITECTURE, "os": "linux", "config": {}, "rootfs": {"type": "layers"}}
        config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]}
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _described(_CONFIG, self._keep(json.dumps(config).encode())),
            "layers": [_described(_LAYER, layer) for layer in self.layers],
        }
        return json.dumps(document, indent=2).encode()


def _described(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
