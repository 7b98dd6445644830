"""
A registry, its token service and its CDN that hold one image, and break as they are told.

Owns the image's bytes and the servers.  Each part answers well until a test
wraps its script in a fault of `faulty_plans`.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from . import hub as places
from .faulty import Asked, Faulty, Reply, Script
from .hub import Hub
from .seed import ARCHITECTURE, MIB, OCI_MANIFEST
from .seed import noise as seeded
from .writer import sha256

CDN, OTHER_CDN = "cdn.faulty.test", "cdn2.faulty.test"
REPOSITORY = "some/image"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def interval(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of what a Range header asks of ``size`` bytes; None where it asks for nothing."""
    found = _RANGE.fullmatch(asked)
    if found is None:
        return 0, size - 1
    first, last = found.groups()
    if not first:
        return max(size - int(last), 0), size - 1
    return (int(first), min(int(last or size), size - 1)) if int(first) < size else None


def serve(body: bytes | memoryview, asked: Asked, *headers: tuple[str, str]) -> Reply:
    """All of ``body``, or the part that is asked for: 200, 206 or 416."""
    size = len(body)
    wanted = asked.header("range")
    if not wanted:
        return Reply(200, headers, body)
    found = interval(wanted, size)
    if found is None:
        return Reply(416, [*headers, ("Content-Range", f"bytes */{size}")])
    first, last = found
    told = ("Content-Range", f"bytes {first}-{last}/{size}")
    return Reply(206, [*headers, told], memoryview(body)[first : last + 1])


@dataclass(frozen=True)
class Content:
    """One image of one layer: an OCI manifest, its config and its layer, which is ``layer``."""

    layer: bytes
    diff_id: str

    @cached_property
    def digest(self) -> str:
        """Of the layer."""
        return sha256(self.layer)

    @cached_property
    def config(self) -> bytes:
        """The image's configuration."""
        document = {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": {"Cmd": ["/noise"]},
            "rootfs": {"type": "layers", "diff_ids": [self.diff_id]},
        }
        return json.dumps(document).encode()

    @cached_property
    def manifest(self) -> bytes:
        """The manifest, as it is sent."""
        config = {"mediaType": _CONFIG, "digest": sha256(self.config), "size": len(self.config)}
        layer = {"mediaType": _LAYER, "digest": self.digest, "size": len(self.layer)}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
        return json.dumps(document, indent=2).encode()

    @property
    def manifest_digest(self) -> str:
        """Of the manifest."""
        return sha256(self.manifest)


def image(seed: str, size: int) -> Content:
    """An image that a client can unpack: one file of noise."""
    raw = b"".join(seeded(seed, size))
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        archive.addfile(entry, io.BytesIO(raw))
    tar = made.getvalue()
    return Content(gzip.compress(tar, 0, mtime=0), sha256(tar))


def noise(seed: str, size: int = 4 * MIB) -> Content:
    """A content that nobody unpacks: noise, the same for the same seed."""
    raw = b"".join(seeded(seed, size))
    return Content(raw, sha256(raw))


class Origin:
    """
    The servers of one test, and what they hold.

    ``registry`` redirects to a new URL of ``location`` for every request of a layer; ``cdn`` and
    ``other_cdn`` serve it at any path.  The manifest has every tag; tokens are for anybody.
    Several of them can stand at one time if each has a ``repository`` of its own.
    """

    def __init__(self, hub: Hub, content: Content, repository: str = REPOSITORY) -> None:
        self.repository = repository
        self.hub = hub
        self.content = content
        self.location = CDN
        self.registry_listens = True
        self.registry = Faulty(hub.namespace, hub.leaf, places.FAULTY, self.answer)
        self.cdn = Faulty(hub.namespace, hub.leaf, places.FAULTY_CDN, self.blob)
        self.other_cdn = Faulty(hub.namespace, hub.leaf, places.FAULTY_OTHER_CDN, self.blob)
        self.tokens = itertools.count(1)
        self._urls = itertools.count(1)
        self._closing = ExitStack()

    def start(self, *others: Faulty) -> Origin:
        """Have all its servers listen, and ``others``."""
        registry = [self.registry] if self.registry_listens else []
        for server in (*registry, self.cdn, self.other_cdn, *others):
            self._closing.enter_context(server)
        return self

    def server(self, address: str) -> Faulty:
        """One more server of the layer, not started."""
        return Faulty(self.hub.namespace, self.hub.leaf, address, self.blob)

    def close(self) -> None:
        """Stop them."""
        self._closing.close()

    def answer(self, asked: Asked) -> Reply:
        """What a good registry answers: it wants no token."""
        path = asked.target.partition("?")[0]
        if path == "/v2/":
            return Reply(200, [("Content-Type", "application/json")], b"{}")
        if path == "/token":
            return self.token(asked)
        if "/manifests/" in path:
            return self.manifest(asked)
        if path.endswith(sha256(self.content.config)):
            return serve(self.content.config, asked)
        return self.redirect(asked) if path.endswith(self.content.digest) else Reply(404)

    def token(self, asked: Asked) -> Reply:
        """A new token."""
        document = {"token": f"token-{next(self.tokens)}", "expires_in": 300}
        return Reply(200, [("Content-Type", "application/json")], json.dumps(document).encode())

    def manifest(self, asked: Asked) -> Reply:
        """The manifest."""
        told = ("Docker-Content-Digest", self.content.manifest_digest)
        return Reply(200, [("Content-Type", OCI_MANIFEST), told], self.content.manifest)

    def redirect(self, asked: Asked) -> Reply:
        """To where the layer is."""
        return self.redirect_to(self.location)

    def redirect_to(self, host: str) -> Reply:
        """A redirect to a URL that was never given out before."""
        return Reply(
            307, [("Location", f"https://{host}/{self.repository}/layer?signature={next(self._urls)}")]
        )

    def blob(self, asked: Asked) -> Reply:
        """The layer, or a part of it."""
        return serve(self.content.layer, asked, ("Content-Type", "application/octet-stream"))

    def at_registry(self, part: str, script: Script) -> None:
        """Have ``script`` answer the registry's requests with ``part`` in their target."""
        before = self.registry.script

        def answer(asked: Asked) -> Reply:
            return script(asked) if part in asked.target else before(asked)

        self.registry.script = answer


def together(origins: Sequence[Origin]) -> Origin:
    """One origin whose servers answer for all of these, by the repository that is asked for."""
    first = origins[0]
    made = Origin(first.hub, first.content)
    made.registry_listens = first.registry_listens
    made.registry.script = _dispatch([(one.repository, one.registry) for one in origins])
    made.cdn.script = _dispatch([(one.repository, one.cdn) for one in origins])
    made.other_cdn.script = _dispatch([(one.repository, one.other_cdn) for one in origins])
    return made


def _dispatch(servers: Sequence[tuple[str, Faulty]]) -> Script:
    def answer(asked: Asked) -> Reply:
        target = unquote(asked.target)
        found = [server for repository, server in servers if repository in target]
        return (found or [servers[0][1]])[0].script(asked)

    return answer
