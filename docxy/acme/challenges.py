"""
What an authority finds when it looks whether a name is ours, while an order is under way.

Owns the pending proofs of HTTP-01 (RFC 8555 section 8.3) and of TLS-ALPN-01
(RFC 8737).  A thread publishes them, the reactor's answers: each step is one
access to a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from cryptography import x509

from docxy.acme.keys import proof, server_name
from docxy.tls.certificates import PrivateKey

HTTP = "http-01"
TLS = "tls-alpn-01"
KINDS = (HTTP, TLS)
"""The challenges that docxy meets, in the order in which it tries them."""


class Challenges:
    """The proofs that may be asked for now; ``now`` dates the certificates."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._pending: dict[tuple[str, str], tuple[str, str]] = {}
        self._certificates: dict[tuple[tuple[str, str], PrivateKey], x509.Certificate] = {}

    @contextmanager
    def published(self, kind: str, name: str, key_authorization: str) -> Iterator[None]:
        """Show the proof for ``name`` in this block; ``key_authorization`` is the token, a dot and more."""
        asked_for = key_authorization.partition(".")[0] if kind == HTTP else server_name(name)
        self._pending[kind, asked_for] = (name, key_authorization)
        try:
            yield
        finally:
            self._pending.pop((kind, asked_for), None)
            self._certificates.clear()

    def text(self, token: str) -> str | None:
        """What is to be read below ``/.well-known/acme-challenge/``; None: nothing is, there."""
        pending = self._pending.get((HTTP, token))
        return None if pending is None else pending[1]

    def certificate(self, sent: str, key: PrivateKey) -> x509.Certificate | None:
        """The proof for the server name that came with ``acme-tls/1``, signed with the listener's key."""
        sent = sent.lower()
        pending = self._pending.get((TLS, sent))
        if pending is None:
            return None
        made = self._certificates.get((pending, key))
        if made is None:
            # Kept with what it proves: should the order end meanwhile, the next one's is another.
            made = self._certificates[pending, key] = proof(key, *pending, self._now())
        return made
