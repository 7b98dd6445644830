"""
What stands before pebble and speaks of renewals (RFC 9773), which Debian 12's pebble does not yet.

Owns the windows, what orders say they replace, and a hold on orders.  All else
is pebble's own answer: its URLs are those that it was asked by.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography import x509

from .pebble import Pebble
from .waiting import Waiting

EXPLANATION = "https://authority.example/why"
_INFO = "/renewal-info/"
_ORDER = "/order-plz"


def name_of(leaf: x509.Certificate) -> str:
    """What a certificate is called there (RFC 9773 section 4.1)."""
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (issuer or b"", serial))


class RenewalInfo(Waiting):
    """
    An authority in front of ``pebble``.

    ``replaced`` has what each order named, None for nothing; with ``known`` false none is accepted that
    names something.  Orders wait for ``go``, and `held` tells that one does.
    """

    def __init__(self, pebble: Pebble) -> None:
        super().__init__(_Front)
        self.pebble = pebble
        self.directory = f"https://localhost:{self.server_port}/dir"
        self.ca, self.http, self.tls = pebble.ca, pebble.http, pebble.tls
        self.replaced: list[str | None] = []
        self.known = True
        self.held = threading.Event()
        self.go.set()
        self._windows: dict[str, tuple[datetime, datetime]] = {}
        self.socket = pebble.server_context().wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def suggest_now(self, leaf: x509.Certificate) -> None:
        """Have this one renewed: its time was over a second after it began."""
        begun = leaf.not_valid_before_utc
        self._windows[name_of(leaf)] = (begun, begun + timedelta(seconds=1))

    def said_of(self, name: str) -> dict[str, Any]:
        """The answer for one certificate: some day, if there is nothing to say."""
        someday = datetime.now(UTC) + timedelta(days=30)
        start, end = self._windows.get(name, (someday, someday + timedelta(days=1)))
        window = {"start": start.isoformat(), "end": end.isoformat()}
        return {"suggestedWindow": window, "explanationURL": EXPLANATION}


class _Front(BaseHTTPRequestHandler):
    """One connection of docxy's."""

    protocol_version = "HTTP/1.1"
    server: RenewalInfo

    def do_GET(self) -> None:
        """The directory with one step more, or a window."""
        if self.path.startswith(_INFO):
            self._answer(200, json.dumps(self.server.said_of(self.path.removeprefix(_INFO))).encode())
            return
        status, headers, body = self._asked(b"")
        if self.path == "/dir":
            steps = json.loads(body)
            steps["renewalInfo"] = self.server.directory.removesuffix("/dir") + _INFO.rstrip("/")
            body = json.dumps(steps).encode()
        self._answer(status, body, headers)

    def do_HEAD(self) -> None:
        """A nonce."""
        status, headers, _ = self._asked(b"")
        self._answer(status, b"", headers)

    def do_POST(self) -> None:
        """What pebble says, unless it is an order that is not to be."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != _ORDER:
            status, headers, body = self._asked(content)
            self._answer(status, body, headers)
            return
        self.server.held.set()
        self.server.go.wait(60)
        replaced = _payload(content).get("replaces")
        if replaced is not None and not self.server.known:
            self.server.replaced.append(replaced)
            problem = {"type": "urn:ietf:params:acme:error:alreadyReplaced", "detail": "long ago"}
            self._answer(409, json.dumps(problem).encode(), {"Content-Type": "application/problem+json"})
            return
        status, headers, body = self._asked(content)
        if status == 201:  # and no nonce was refused
            self.server.replaced.append(replaced)
        self._answer(status, body, headers)

    def _asked(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        """What pebble answers."""
        pebble = self.server.pebble
        context = ssl.create_default_context(cafile=str(pebble.ca))
        onwards = http.client.HTTPSConnection("localhost", pebble.port, timeout=60, context=context)
        sent = ("Host", "Content-Type", "User-Agent")
        wanted = {name: self.headers[name] for name in sent if name in self.headers}
        onwards.request(self.command, self.path, content or None, wanted)
        answer = onwards.getresponse()
        body = answer.read()
        onwards.close()
        return answer.status, dict(answer.getheaders()), body

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _payload(content: bytes) -> dict[str, Any]:
    """What a signed request says."""
    text: str = json.loads(content)["payload"]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found
