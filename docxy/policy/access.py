"""
May this client ask for anything at all?

Owns ``server.allow``, and what of malformed requests those without the secret
path may learn.  Knows nothing of requests: who the client is has been
settled in `docxy.policy.proxies`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from docxy.policy.addresses import inside, unmapped
from docxy.settings.values import Network


def allowed(address: str, networks: Sequence[Network]) -> bool:
    """
    Whether the client's address is in one of the networks; no networks allow everybody.

    A client without an address (a unix socket whose proxy names nobody) is in none.
    """
    if not networks:
        return True
    found = unmapped(address)
    return found is not None and inside(found, networks)


def shows_secret(secret: str, path: bytes) -> bool:
    """Whether a raw path, perhaps a malformed one, bears the secret where a client may put it."""
    first, second, *_ = (*path.split(b"/", 3)[1:], b"", b"")
    return _same(first, secret) or (first == b"v2" and _same(second, secret))


def _same(segment: bytes, secret: str) -> bool:
    return hmac.compare_digest(segment, secret.encode())
