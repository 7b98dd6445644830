"""
What a running service takes over of changed settings, and what waits for a restart.

Owns the list of those that wait.  Knows nothing of how the others are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docxy.settings.values import Settings

RESTART: Mapping[str, str] = {
    "server.listen": "ports below 1024 are opened with the rights of the start",
    "server.redirect": "as server.listen",
    "admin.listen": "as server.listen",
    "acme": "an account, its folder and what stands in for its certificate are there from the start",
    "tls.bulk": "a listener has the transport that it was opened with",
}
"""Keys, and one whole table, that a reload does not take over, each with the reason; it does all others."""


def waiting(running: Settings, wanted: Settings) -> tuple[str, ...]:
    """The keys that differ and wait for a restart."""
    return tuple(key for key in RESTART if _value(running, key) != _value(wanted, key))


def taken_over(running: Settings, wanted: Settings) -> Settings:
    """``wanted``, but for what waits for a restart: that stays as it is."""
    for key in RESTART:
        part, _, name = key.partition(".")
        if not name:
            whole: Any = {part: getattr(running, part)}
            wanted = replace(wanted, **whole)
            continue
        # Whichever part it is: dataclasses.replace needs its type.
        table: Any = getattr(wanted, part)
        changed: Any = {part: replace(table, **{name: _value(running, key)})}
        wanted = replace(wanted, **changed)
    return wanted


def _value(settings: Settings, key: str) -> Any:
    part, _, name = key.partition(".")
    table = getattr(settings, part)
    return getattr(table, name) if name else table
