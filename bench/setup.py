"""
What a case asks of every way.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.origin import FAST, Origin


@dataclass(frozen=True, slots=True)
class Setup:
    """What a case asks of a way: which origin, TLS or not on each side, and docxy's ``connections``."""

    origin: Origin = FAST
    tls_client: bool = True
    tls_upstream: bool = True
    connections: int = 1

    @property
    def client_scheme(self) -> str:
        """What clients speak."""
        return "https" if self.tls_client else "http"

    @property
    def client_port(self) -> int:
        """Where they are listened for."""
        return 443 if self.tls_client else 80

    @property
    def upstream_scheme(self) -> str:
        """What the origin is asked in."""
        return "https" if self.tls_upstream else "http"

    @property
    def upstream(self) -> str:
        """The origin's URL."""
        return f"{self.upstream_scheme}://{self.origin.name}"


TLS = Setup()  # on both sides, as it is where nothing else is said
