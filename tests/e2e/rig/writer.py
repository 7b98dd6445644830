"""
Pushing into a registry of the rig, over plain HTTP and without an account.

Owns one connection.  Knows blobs and manifests as bytes, not what images are.
"""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from typing import Any

from .namespace import Namespace
from .processes import RigError


def sha256(raw: bytes) -> str:
    """The digest of these bytes, as registries write it."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


class Writer:
    """Puts blobs and manifests where a registry of the rig keeps them."""

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        self._http = http.client.HTTPConnection(address, port, timeout=120)
        self._http.sock = namespace.connect(address, port)
        self._known: set[tuple[str, str]] = set()

    def _call(self, method: str, target: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request(method, target, body, named)
        answer = self._http.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RigError(f"{method} {target}: {answer.status} {said[:300]!r}")
        return answer

    def _upload(self, repository: str) -> str:
        location = self._call("POST", f"/v2/{repository}/blobs/uploads/", Content_Length="0").getheader(
            "Location"
        )
        assert location is not None
        return location + ("&" if "?" in location else "?")

    def blob(self, repository: str, raw: bytes) -> str:
        """Push a blob once; its digest."""
        digest = sha256(raw)
        if (repository, digest) not in self._known:
            target = f"{self._upload(repository)}digest={digest}"
            self._call("PUT", target, raw, Content_Type="application/octet-stream")
            self._known.add((repository, digest))
        return digest

    def large_blob(self, repository: str, chunks: Iterator[bytes], size: int) -> str:
        """Push a blob that never stands in memory as a whole; its digest."""
        digest = hashlib.sha256()

        def counted() -> Iterator[bytes]:
            for chunk in chunks:
                digest.update(chunk)
                yield chunk

        location = self._call(
            "PATCH",
            self._upload(repository).rstrip("&?"),
            counted(),
            Content_Type="application/octet-stream",
            Content_Length=str(size),
        ).getheader("Location")
        assert location is not None
        named = f"sha256:{digest.hexdigest()}"
        self._call("PUT", f"{location}{'&' if '?' in location else '?'}digest={named}", Content_Length="0")
        return named

    def manifest(self, repository: str, reference: str, raw: bytes, media_type: str) -> None:
        """Push a manifest under a tag or its digest."""
        self._call("PUT", f"/v2/{repository}/manifests/{reference}", raw, Content_Type=media_type)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
