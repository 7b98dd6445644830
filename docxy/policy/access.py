"""
May this client ask for anything at all?

Owns ``server.allow``.  Knows nothing of requests: who the client is has been
settled in `docxy.policy.proxies`.
"""

from __future__ import annotations

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
