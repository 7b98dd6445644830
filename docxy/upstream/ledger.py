"""
Which upstream gave out which token, by the token's hash alone.

Keeps a token from being shown to another upstream, and tells docxy's own
credentials from a client's.  Holds no token.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

MAX_ENTRIES = 16384  # some 3 MiB


class TokenLedger:
    """The last `MAX_ENTRIES` tokens that passed, all upstreams together."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, tuple[str, str | None]] = OrderedDict()

    def enter(self, token: str, upstream: str, credential: str | None) -> None:
        """``upstream`` gave ``token`` to the credential of ours of that name; None: to a client's own."""
        self._entries[_key(token)] = (upstream, credential)
        self._entries.move_to_end(_key(token))
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def upstream_of(self, token: str) -> str | None:
        """The upstream that gave ``token``; None: not known."""
        entry = self._entries.get(_key(token))
        return entry[0] if entry else None

    def credential_of(self, token: str) -> str | None:
        """The credential of ours that ``token`` was given to, if it was one of ours."""
        entry = self._entries.get(_key(token))
        return entry[1] if entry else None


def _key(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16).digest()
