"""
A registry with one image whose layer comes in drops until it may flow: a pull lasts as long as a test wants.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler

from .waiting import Waiting
from .writer import sha256

NAME = "some/image:latest"

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = bytes(range(256)) * 40_000
LAYER = sha256(_LAYER)
_DROP = 1000  # bytes


def _blob(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": sha256(content), "size": len(content)}


_CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(_LAYER)]},
    }
).encode()
_DOCUMENT = {
    "schemaVersion": 2,
    "mediaType": _MANIFEST,
    "config": _blob("config.v1+json", _CONFIG),
    "layers": [_blob("layer.v1.tar", _LAYER)],
}
_WHOLE = json.dumps(_DOCUMENT).encode()
DIGEST = sha256(_WHOLE)


class PacedRegistry(Waiting):
    """Without tokens; ``drips`` once somebody waits for the layer, which flows from ``go`` on."""

    def __init__(self) -> None:
        super().__init__(_Asked)
        self.drips = threading.Event()


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PacedRegistry

    def do_GET(self) -> None:
        """The image's parts, by their names."""
        last = self.path.rsplit("/", 1)[1]
        parts = {
            "": b"{}",
            "latest": _WHOLE,
            DIGEST: _WHOLE,
            sha256(_CONFIG): _CONFIG,
            sha256(_LAYER): _LAYER,
        }
        content = parts[last]
        self.send_response(200)
        self.send_header("Content-Type", _MANIFEST if content is _WHOLE else "application/octet-stream")
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self._send(content)

    do_HEAD = do_GET

    def _send(self, content: bytes) -> None:
        sent = 0
        if content is _LAYER:
            while not self.server.go.wait(0.1):
                self.wfile.write(content[sent : sent + _DROP])
                sent += _DROP
                self.server.drips.set()
        self.wfile.write(content[sent:])

    def log_message(self, *_: object) -> None:
        """Nothing."""
