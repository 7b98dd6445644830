"""
Secret paths: is this one, whose is it, does one stand in there, and what is left without them?

Owns every comparison with ``server.secret_path`` and with the paths of
``[[access.key]]``.  Knows nothing of where in a name or a scope a client may
show one: `docxy.policy.addressing` does.
"""

from __future__ import annotations

import hmac
import re

from docxy.oci.routes import behind_v2
from docxy.settings.values import Settings

HIDDEN = "***"
"""Stands where the secret was."""


class SecretPath:
    """
    The secret paths, any of which opens the mirror; without any, nothing is a secret.

    ``keys`` has the name of the key that each of some belongs to.  Only the
    segment itself, as it is written, opens anything; what must not be passed
    on or written down is found inside of words and in any case, too.
    """

    def __init__(self, *secrets: str, keys: dict[str, str] | None = None) -> None:
        self._keys = keys or {}
        self._secrets = (*secrets, *self._keys)
        # The longest first: one may be the beginning of another.
        words = "|".join(re.escape(one) for one in sorted(self._secrets, key=len, reverse=True))
        self._anywhere = re.compile(words, re.ASCII | re.IGNORECASE) if words else None

    @classmethod
    def of(cls, settings: Settings) -> SecretPath:
        """Those of the settings."""
        plain = settings.server.secret_path
        keys = {key.path: key.name for key in settings.access.keys}
        return cls(*(() if plain is None else (plain,)), keys=keys)

    def __repr__(self) -> str:
        return "SecretPath()"

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return bool(self._secrets)

    @property
    def fronts(self) -> tuple[str, ...]:
        """Each with its slash, as a URL's path begins with it; one empty one where there is none."""
        return tuple(f"/{one}" for one in self._secrets) or ("",)

    def equals(self, segment: str) -> bool:
        """Whether this is one; takes as long for all others."""
        return self._which(segment.encode()) != ""

    def shown_in(self, path: bytes) -> str:
        """Which one a raw path, perhaps a malformed one, has where a client may put it; empty for none."""
        first, *_ = (*path.split(b"/", 2)[1:], b"")
        return self._which(first) or self._which(behind_v2(path))

    def key_in(self, path: bytes) -> str:
        """The name of the key that a raw path shows; empty where it shows none, or one without a name."""
        return self._keys.get(self.shown_in(path), "")

    def is_in(self, *texts: str) -> bool:
        """Whether one of ``texts`` tells one."""
        pattern = self._anywhere
        return pattern is not None and any(pattern.search(text) for text in texts)

    def hidden(self, text: str) -> str:
        """``text`` with `HIDDEN` in their place."""
        return text if self._anywhere is None else self._anywhere.sub(HIDDEN, text)

    def _which(self, segment: bytes) -> str:
        found = [one for one in self._secrets if hmac.compare_digest(segment, one.encode())]
        return found[0] if found else ""
