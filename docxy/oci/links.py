"""
The ``Link`` to a list's next page.

Owns the part of RFC 8288 that registries use.  Must not know where upstream
is: of its link only the query is kept, so that no client is ever sent there.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_plus

_MAX_LINK = 8192

_PLAIN = re.compile(r"[ -~\t]*+")
_GAP = re.compile(r"[ \t,]*+")
_TARGET = re.compile(r"<([^<> \t\"\\]*+)>")
_PARAM = re.compile(
    r"[ \t]*+;[ \t]*+([A-Za-z0-9*_-]++)"
    r'(?:[ \t]*+=[ \t]*+(?:"([^"\\]*+)"|([^ \t",;<>=]++)))?+'
)
_END = re.compile(r"[ \t]*+(?:,|\Z)")


def rewrite(value: str, *, client_path: str, ns: str | None) -> str | None:
    """
    An upstream's link to the next page, as a link on the client's own path.

    The query is upstream's, byte for byte, with the client's ``ns`` put back.
    None for a value that is malformed, has no ``rel="next"`` or no query.
    """
    target = _next_target(value) if len(value) <= _MAX_LINK and _PLAIN.fullmatch(value) else None
    if target is None:
        return None
    query = target.partition("#")[0].partition("?")[2]
    # Two of them would be refused when the client comes back.
    parts = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != "ns"]
    if not parts:
        return None
    if ns is not None:
        parts.append(f"ns={quote(ns, safe='')}")
    return f'<{client_path}?{"&".join(parts)}>; rel="next"'


def _next_target(value: str) -> str | None:
    position = 0
    while (target := _TARGET.match(value, _skip_gap(value, position))) is not None:
        params, position = _params(value, target.end())
        end = _END.match(value, position)
        if end is None:
            return None
        if "next" in params.get("rel", "").lower().split():
            return target[1]
        position = end.end()
    return None


def _params(value: str, position: int) -> tuple[dict[str, str], int]:
    """
    The parameters from ``position`` on, first of each name, and where they end.
    """
    params: dict[str, str] = {}
    while (param := _PARAM.match(value, position)) is not None:
        params.setdefault(param[1].lower(), param[2] or param[3] or "")
        position = param.end()
    return params, position


def _skip_gap(value: str, position: int) -> int:
    gap = _GAP.match(value, position)
    return gap.end() if gap else position
