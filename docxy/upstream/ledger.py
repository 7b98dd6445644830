"""
Which upstream gave out which token, by the token's hash alone.

Keeps a token from being shown to another upstream, and tells docxy's own
credentials from a client's.  Holds no token.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

MAX_ENTRIES = 16384  # some 6 MiB
MAX_GIVERS = 8  # upstreams of one token: several names of one registry, or registries with one fixed token


class TokenLedger:
    """The last `MAX_ENTRIES` tokens that passed, all upstreams together."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, dict[str, str | None]] = OrderedDict()

    def enter(self, token: str, upstream: str, credential: str | None) -> None:
        """``upstream`` gave ``token`` to the credential of ours of that name; None: to a client's own."""
        givers = self._entries.setdefault(_key(token), {})
        givers.pop(upstream, None)
        givers[upstream] = credential
        if len(givers) > MAX_GIVERS:
            del givers[next(iter(givers))]
        self._entries.move_to_end(_key(token))
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def is_foreign(self, token: str, upstream: str) -> bool:
        """Whether ``token`` is known, and only as that of others than ``upstream``."""
        givers = self._entries.get(_key(token))
        return givers is not None and upstream not in givers

    def credential_of(self, token: str, upstream: str) -> str | None:
        """The credential of ours that ``upstream`` gave ``token`` to, if it was one of ours."""
        return self._entries.get(_key(token), {}).get(upstream)


def _key(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16).digest()
