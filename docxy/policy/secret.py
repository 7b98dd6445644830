"""
The secret path: is this it, does it stand in there, and what is left without it?

Owns every comparison with ``server.secret_path`` but for that of a raw path.
Knows nothing of where a client may show it: `docxy.policy.addressing` does.
"""

from __future__ import annotations

import hmac
import re

HIDDEN = "***"
"""Stands where the secret was."""


class SecretPath:
    """
    ``server.secret_path``; None is none, and then nothing is a secret.

    Only the segment itself, as it is written, opens anything; what must not be
    passed on or written down is found inside of words and in any case, too.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret
        self._anywhere = None if secret is None else re.compile(re.escape(secret), re.ASCII | re.IGNORECASE)

    def __repr__(self) -> str:
        return "SecretPath()"

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._secret is not None

    @property
    def front(self) -> str:
        """The segment with its slash, as a URL's path begins with it; empty where there is none."""
        return "" if self._secret is None else f"/{self._secret}"

    def equals(self, segment: str) -> bool:
        """Whether this is the secret; takes as long for all others."""
        return self._secret is not None and hmac.compare_digest(segment.encode(), self._secret.encode())

    def is_in(self, *texts: str) -> bool:
        """Whether one of ``texts`` tells the secret."""
        pattern = self._anywhere
        return pattern is not None and any(pattern.search(text) for text in texts)

    def hidden(self, text: str) -> str:
        """``text`` with `HIDDEN` in the secret's place."""
        return text if self._anywhere is None else self._anywhere.sub(HIDDEN, text)
