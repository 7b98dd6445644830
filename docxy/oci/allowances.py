"""
How many pulls a registry says are left: ``ratelimit-limit`` and ``ratelimit-remaining``.

Owns the written form, as Docker Hub sends it: ``100;w=21600`` is 100 in 21600
seconds.  Both numbers change when the registry likes, so none is known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"[0-9]{1,12}")
_SOURCE = re.compile(r"[0-9A-Za-z.:_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Pulls:
    """So many pulls in ``window`` seconds; None: no window was told."""

    count: int
    window: int | None = None


def parse_pulls(text: str | None) -> Pulls | None:
    """What a header says; of several items the first, and None for what is absent or says nothing."""
    count, *parameters = (text or "").partition(",")[0].split(";")
    if not _NUMBER.fullmatch(count.strip(" \t")):
        return None
    windows = [value.strip(" \t") for name, _, value in map(_pair, parameters) if name == "w"]
    window = next((int(one) for one in windows if _NUMBER.fullmatch(one)), None)
    return Pulls(int(count), window or None)


def _pair(parameter: str) -> tuple[str, str, str]:
    name, equals, value = parameter.partition("=")
    return name.strip(" \t").lower(), equals, value


def parse_source(text: str | None) -> str:
    """Whom the registry counts, of ``docker-ratelimit-source``: an address or an account; else empty."""
    return text if text is not None and _SOURCE.fullmatch(text) else ""
