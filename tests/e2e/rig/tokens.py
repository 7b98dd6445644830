"""
A token service in Docker's style: real RS256 tokens over TLS, by GET and by POST.

Owns accounts, refresh tokens and a record of every request.  It runs as
threads of the tests, so that they can read what it saw and what it issued.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .pki import Leaf


class _Refused(Exception):
    """A request that gets this status and these words."""

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self.status = status


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request as it came, and the status it got."""

    method: str
    target: str
    authorization: str
    body: str
    user: str
    status: int


def _b64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


class Signer:
    """Makes tokens that docker-registry accepts: ``x5c``, and libtrust's key id."""

    def __init__(self, pair: Leaf) -> None:
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        self._head = self._header(pair.cert)

    @staticmethod
    def _header(cert: Path) -> dict[str, object]:
        parsed = x509.load_pem_x509_certificate(cert.read_bytes())
        spki = parsed.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        fingerprint = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode()
        chain = base64.b64encode(parsed.public_bytes(serialization.Encoding.DER)).decode()
        kid = ":".join(fingerprint[i : i + 4] for i in range(0, 48, 4))
        return {"typ": "JWT", "alg": "RS256", "kid": kid, "x5c": [chain]}

    def token(self, claims: Mapping[str, object]) -> str:
        """These claims, signed."""
        signed = b".".join(_b64url(json.dumps(part).encode()) for part in (self._head, claims))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + _b64url(signature)).decode()


@dataclass
class TokenService:
    """Grants pulls of all that is not private to anybody, and of the rest to its users."""

    signer: Signer
    issuer: str
    service: str
    users: Mapping[str, str]
    private: tuple[str, ...] = ("acme/",)
    lifetime: int = 300  # seconds
    requests: list[TokenRequest] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    _refresh: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, dict[str, Any]]:
        """The status and the JSON that a request gets; it is recorded with both."""
        user = ""
        try:
            asked = self._asked(method, target, body)
            user = self._user(asked, authorization, method)
            status, said = 200, self._grant(asked, user, method)
        except _Refused as refused:
            status, said = refused.status, {"details": str(refused)}
        self.requests.append(TokenRequest(method, target, authorization, body, user, status))
        return status, said

    @staticmethod
    def _asked(method: str, target: str, body: str) -> dict[str, list[str]]:
        url = urlsplit(target)
        if url.path != "/token":
            raise _Refused(404, "not found")
        return parse_qs(body if method == "POST" else url.query)

    def _user(self, asked: dict[str, list[str]], authorization: str, method: str) -> str:
        if authorization.lower().startswith("basic "):
            name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            return self._known(name, password)
        if method == "GET":
            return ""
        grant = asked.get("grant_type", [""])[0]
        if grant == "password":
            return self._known(asked.get("username", [""])[0], asked.get("password", [""])[0])
        if grant == "refresh_token":
            user = self._refresh.get(asked.get("refresh_token", [""])[0])
            if user is None:
                raise _Refused(401, "invalid refresh token")
            return user
        raise _Refused(400, "unsupported grant type")

    def _known(self, name: str, password: str) -> str:
        if self.users.get(name) != password:
            raise _Refused(401, "incorrect username or password")
        return name

    def _access(self, scopes: Sequence[str], user: str) -> Iterator[dict[str, object]]:
        for scope in " ".join(scopes).split():
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            may = bool(user) or not name.startswith(self.private)
            if kind == "repository" and may and "pull" in actions.split(","):
                yield {"type": kind, "name": name, "actions": ["pull"]}

    def _grant(self, asked: dict[str, list[str]], user: str, method: str) -> dict[str, Any]:
        now = int(time.time())
        scopes = asked.get("scope", [])
        token = self.signer.token(
            {
                "iss": self.issuer,
                "sub": user,
                "aud": asked.get("service", [self.service])[0],
                "exp": now + self.lifetime,
                "nbf": now - 1,
                "iat": now,
                "jti": uuid.uuid4().hex,
                "access": list(self._access(scopes, user)),
            }
        )
        self.issued.append(token)
        said: dict[str, Any] = {
            "access_token": token,
            "expires_in": self.lifetime,
            "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }
        said |= {"scope": " ".join(scopes)} if method == "POST" else {"token": token}
        if "offline_token" in asked or asked.get("access_type") == ["offline"]:
            said["refresh_token"] = uuid.uuid4().hex
            self._refresh[said["refresh_token"]] = user
        return said


class _Server(ThreadingHTTPServer):
    """Serves on a socket that was made elsewhere; the handshake happens in the worker."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext, service: TokenService) -> None:
        super().__init__(listener.getsockname(), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.tls = tls
        self.service = service

    def get_request(self) -> tuple[Any, Any]:
        sock, address = super().get_request()
        return self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # A client that left in the middle is no concern of the tests.


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def _answer(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, said = self.server.service.answer(
            self.command, self.path, self.headers.get("Authorization", ""), body
        )
        raw = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _answer


@contextmanager
def serving(service: TokenService, listener: socket.socket, leaf: Leaf) -> Iterator[None]:
    """Serve on that listening socket for as long as the context lasts."""
    server = _Server(listener, leaf.server_context(), service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
