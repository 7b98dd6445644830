"""
A certificate authority in memory, met by the library's own requests.

Owns as much of RFC 8555 as an order needs, and what goes wrong on demand.  It
is the far end of a `requests` session: whatever is sent is judged as it is on
the wire.  It believes every proof but those of the kinds in ``disbelieved``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter
from urllib3.response import HTTPResponse

from docxy.acme.network import Network
from tests.unit.tls.throwaway import NOW, intermediate

BASE = "https://ca.example"
DIRECTORY = f"{BASE}/dir"

Answer = tuple[int, Any, dict[str, str]]


def problem(kind: str, detail: str, status: int = 400, **headers: str) -> Answer:
    """A refusal (RFC 7807)."""
    return status, {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}, headers


def _decoded(text: str) -> Any:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return json.loads(raw) if raw else None


class Authority(HTTPAdapter):
    """
    Answers requests; ``asked`` are the paths of those that were signed, in order.

    ``refusals`` maps a path to answers that are given there first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.told: float | None = None
        self.payloads: dict[str, Any] = {}
        self.offered = ["http-01", "dns-01", "tls-alpn-01"]
        self.disbelieved: list[str] = []
        self.refusals: dict[str, list[Answer]] = {}
        self.meta: dict[str, Any] = {}
        self.window: dict[str, Any] | None = None
        self.more: dict[str, Any] = {}
        self.on_challenge: Callable[[str], None] = lambda kind: None
        self.issue_for: list[str] | None = None
        self._names: list[str] = []
        self._types: list[str] = []
        self._failed = ""
        self._kind = ""
        self._chain = b""

    def network(self, jwk: JWKEC, directory: str, ca: str | None) -> Network:
        """A network that leads here."""
        net = Network(jwk, directory, ca)
        net.session.adapters.clear()
        net.session.mount(BASE, self)
        net.adapter = self  # type: ignore[assignment]  # it has all that is used of one
        return net

    def cut(self) -> None:
        """Nothing here is ever waited for."""

    def send(self, request: Any, stream: bool = False, *args: Any, **more: Any) -> requests.Response:
        """One answer."""
        path = request.url.removeprefix(BASE)
        if request.method == "POST":
            self.asked.append(path)
            self.payloads[path] = _decoded(json.loads(request.body)["payload"])
        waiting = self.refusals.get(path)
        status, content, headers = waiting.pop(0) if waiting else self._answer(path)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/problem+json" if status >= 400 else "application/json"
        raw = HTTPResponse(
            BytesIO(body),
            {"Content-Type": kind, "Replay-Nonce": "bm9uY2U", **headers},
            status,
            preload_content=False,
        )
        return self.build_response(request, raw)

    def _answer(self, path: str) -> Answer:
        step, _, rest = path.removeprefix("/").partition("/")
        answer: Answer = getattr(self, f"_on_{step}")(rest)
        return answer

    def _on_dir(self, _: str) -> Answer:
        steps = {name: f"{BASE}/{name.lower()}" for name in ("newNonce", "newAccount", "newOrder")}
        if self.window is not None:
            steps["renewalInfo"] = f"{BASE}/renewal"
        return 200, {**steps, "meta": self.meta}, {}

    def _on_newnonce(self, _: str) -> Answer:
        return 200, b"", {}

    def _on_newaccount(self, _: str) -> Answer:
        return 201, {"status": "valid"}, {"Location": f"{BASE}/account/1"}

    def _on_neworder(self, _: str) -> Answer:
        identifiers = self.payloads["/neworder"]["identifiers"]
        self._names = [one["value"] for one in identifiers]
        self._types = [one["type"] for one in identifiers]
        self._failed = self._kind = ""
        self.payloads = {path: value for path, value in self.payloads.items() if "challenge" not in path}
        return 201, self._order("pending"), {"Location": f"{BASE}/order/1"}

    def _order(self, status: str) -> dict[str, Any]:
        numbers = range(len(self._names))
        return {
            "status": status,
            "authorizations": [f"{BASE}/authorization/{number}" for number in numbers],
            "finalize": f"{BASE}/finalize",
            **({"certificate": f"{BASE}/certificate"} if status == "valid" else {}),
        }

    def _on_authorization(self, rest: str) -> Answer:
        number = int(rest)
        answered = self.payloads.get(f"/challenge/{number}/{self._kind}") is not None if self._kind else False
        status = "invalid" if self._failed and answered else "valid" if answered else "pending"
        found = [self._challenge(number, kind, status) for kind in self.offered]
        identifier = {"type": self._types[number], "value": self._names[number]}
        return 200, {"status": status, "identifier": identifier, "challenges": found}, {}

    def _challenge(self, number: int, kind: str, status: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": kind,
            "url": f"{BASE}/challenge/{number}/{kind}",
            "token": f"dG9rZW4tb2Ytc2l4dGVlbi1ieXRlcw{number}",
            "status": status,
        }
        if status == "invalid" and kind == self._failed:
            found["error"] = problem("connection", "nobody there\nat all")[1]
        return found

    def _on_challenge(self, rest: str) -> Answer:
        number, _, self._kind = rest.partition("/")
        self.on_challenge(self._kind)
        self._failed = self._kind if self._kind in self.disbelieved else ""
        link = {"Link": f'<{BASE}/authorization/{number}>;rel="up"'}
        return 200, self._challenge(int(number), self._kind, "processing"), link

    def _on_finalize(self, _: str) -> Answer:
        text = self.payloads["/finalize"]["csr"]
        csr = x509.load_der_x509_csr(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if self.issue_for is not None:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in self.issue_for])
        issuer = intermediate()
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.certificate.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=90))
            .add_extension(names, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier(b"issuer", None, None), critical=False)
            .sign(issuer.key, hashes.SHA256())
        )
        self._chain = leaf.public_bytes(Encoding.PEM) + issuer.pem
        return 200, self._order("processing"), {}

    def _on_order(self, _: str) -> Answer:
        return 200, self._order("valid"), {}

    def _on_certificate(self, _: str) -> Answer:
        return 200, self._chain, {}

    def _on_renewal(self, _: str) -> Answer:
        return 200, {"suggestedWindow": self.window, **self.more}, {"Retry-After": "3600"}
