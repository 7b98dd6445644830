"""
How the authority's directory is met: the library's network, less what it believes too easily.

Owns trust roots, bounds and the patience with refused nonces.  Runs in the
thread of an order, never in the reactor's.  The system's trust roots are
believed and those of ``acme.ca``, not the ones that come with `requests`; no
proxy and no ``.netrc`` is read; answers are bounded.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import requests
from acme.client import ClientNetwork
from acme.messages import Error
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

from docxy import __version__
from docxy.policy.retry import told_wait

TIMEOUT = 30  # seconds without a byte
MAX_ANSWER = 1 << 20  # bytes; a chain of certificates has some thousand
_NONCE_TRIES = (
    8  # each of two requests; RFC 8555 section 6.5 has clients repeat what was refused for its nonce
)


class TooLarge(requests.exceptions.RequestException):
    """An answer is over `MAX_ANSWER`."""


class _Bounded:
    """An answer's body, which ends with an error where it is too long."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """What `requests` reads it by."""
        left = MAX_ANSWER
        for chunk in self._raw.stream(amount, decode_content=decode_content):
            left -= len(chunk)
            if left < 0:
                raise TooLarge(f"an answer of the authority is over {MAX_ANSWER} bytes")
            yield chunk


class Adapter(HTTPAdapter):
    """Connections that trust ``context``; ``told`` is the last refusal's Retry-After, in seconds."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.told: float | None = None
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Make the connections' pool."""
        super().init_poolmanager(*args, **more, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Not the inherited one: it adds the roots that come with `requests`."""
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: Any, stream: bool = False, *args: Any, **more: Any) -> requests.Response:
        """Send it, and bound its answer."""
        answer = super().send(request, stream, *args, **more)
        answer.raw = _Bounded(answer.raw)
        headers = answer.headers
        if not answer.ok:
            self.told = told_wait(headers.get("Retry-After"), headers.get("Date"))
        return answer


class Network(ClientNetwork):
    """The library's network, with `Adapter` for each connection, signing with ``jwk``."""

    def __init__(self, jwk: JWKEC, ca: str | None) -> None:
        super().__init__(jwk, alg=ES256, user_agent=f"docxy/{__version__}", timeout=TIMEOUT)
        self.jwk = jwk
        context = ssl.create_default_context()
        if ca is not None:
            context.load_verify_locations(ca)
        self.adapter = Adapter(context)
        self.session.trust_env = False
        self.session.max_redirects = 3
        self.session.adapters.clear()
        self.session.mount("https://", self.adapter)  # and nothing that is not encrypted

    def post(self, *args: Any, **more: Any) -> requests.Response:
        """Send a signed request, again where the authority refuses its nonce."""
        for _ in range(_NONCE_TRIES - 1):
            try:
                return super().post(*args, **more)
            except Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **more)
