"""
``WWW-Authenticate``: every form that registries send, and the one that is safe to send.

Owns the grammar (RFC 9110 section 11.6.1, RFC 6750 section 3).  Must not
know which realm may be believed.

Clients are poor parsers: they read one challenge a line and some stop at the
first empty value.  So the parser here takes what they would not, and the
formatter writes what the poorest reads.  The patterns use possessive
quantifiers: whatever upstream sends is read in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_CHALLENGES = 16
MAX_CHARACTERS = 16 * 1024

_PLAIN = re.compile(r"[ -~]*+")
_GAP = re.compile(r"[ ,]*+")
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]++)(?: ++|(?=,)|\Z)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]++=*+ *+(?=,|\Z)")
_PARAM = re.compile(
    r"[ ,]*+([!#$%&'*+.^_`|~0-9A-Za-z-]++) *+= *+"
    r'(?:"((?:[^"\\]|\\.)*+)"|([^ ,"]*+)(?=[ ,]|\Z))'
)
_ESCAPED = re.compile(r"\\(.)")
# Up to a comma outside quotes; a quote that never closes takes the rest.
_JUNK = re.compile(r'(?:[^,"\\]|\\.?|"(?:[^"\\]|\\.?)*+"?)*+')

# Their one parameter may end in "=", which a bare token must not be mistaken for.
_WITH_PARAMS = ("bearer", "basic")


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    One way to authenticate; the scheme and the names of parameters are lower-case.
    """

    scheme: str
    params: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """
        The first value of a parameter; None where it is absent.
        """
        return next((value for key, value in self.params if key == name), None)


def parse(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """
    All challenges of all header lines, in their order.

    What makes no sense is skipped.  A line with anything but printable ASCII
    is dropped whole; at most 16 challenges and 16 KiB are read.
    """
    found: list[Challenge] = []
    room = MAX_CHARACTERS
    for line in lines:
        room -= len(line)
        if room < 0 or len(found) >= MAX_CHALLENGES:
            break
        text = line.replace("\t", " ")
        if _PLAIN.fullmatch(text):
            found += _parse_line(text)
    return tuple(found[:MAX_CHALLENGES])


def bearer(
    realm: str,
    *,
    service: str | None = None,
    scope: str | None = None,
    error: str | None = None,
) -> str:
    """
    A Bearer challenge that every client reads; empty values are left out.

    Raises ValueError for anything but printable ASCII.
    """
    params = (("realm", realm), ("service", service), ("scope", scope), ("error", error))
    return "Bearer " + ",".join(f"{name}={_quoted(value)}" for name, value in params if value)


def basic(realm: str) -> str:
    """
    A Basic challenge (RFC 7617).

    Raises ValueError for anything but printable ASCII.
    """
    return f"Basic realm={_quoted(realm)}"


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """
    The challenge to answer: the first Bearer, else the first Basic, else None.
    """
    ours = [challenge for challenge in challenges if challenge.scheme in _WITH_PARAMS]
    return min(ours, key=lambda challenge: _WITH_PARAMS.index(challenge.scheme), default=None)


def _quoted(value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise ValueError("a challenge holds printable ASCII only")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parse_line(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _end(_GAP, text, 0)
    while position < len(text) and len(found) < MAX_CHALLENGES:
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            position = _end(_JUNK, text, position)
        else:
            challenge, position = _parse_challenge(scheme[1].lower(), text, scheme.end())
            found.append(challenge)
        position = _end(_GAP, text, position)
    return found


def _parse_challenge(scheme: str, text: str, position: int) -> tuple[Challenge, int]:
    """
    The challenge whose scheme ends at ``position``, and where it ends itself.
    """
    token68 = None if scheme in _WITH_PARAMS else _TOKEN68.match(text, position)
    if token68 is not None:
        return Challenge(scheme), token68.end()
    params: list[tuple[str, str]] = []
    while (param := _PARAM.match(text, position)) is not None:
        params.append((param[1].lower(), _value(param)))
        position = param.end()
    return Challenge(scheme, tuple(params)), position


def _value(param: re.Match[str]) -> str:
    quoted, bare = param[2], param[3]
    return bare if quoted is None else _ESCAPED.sub(r"\1", quoted)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """
    Where the match at ``position`` ends, of a pattern that always matches.
    """
    match = pattern.match(text, position)
    return match.end() if match else position
