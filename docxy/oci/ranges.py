"""
``Range`` and ``Content-Range``, and the arithmetic on byte intervals.

Owns RFC 9110 section 14.  Knows nothing of the bytes themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_RANGES = 256

# 2**63 has 19 digits; no content is larger.
_NUMBER = "[0-9]{1,19}"
_MAX_HEADER = 16 * 1024
_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE)
_RANGE = re.compile(rf"({_NUMBER})?-({_NUMBER})?")
_CONTENT_RANGE = re.compile(rf"bytes (?:({_NUMBER})-({_NUMBER})|\*)/({_NUMBER}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """
    One range as asked for: both ends inclusive.

    Without ``last`` it runs to the end; without ``first`` it is the final
    ``last`` bytes.
    """

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Interval:
    """
    Bytes of a content whose size is known: both ends inclusive, never empty.
    """

    first: int
    last: int

    @property
    def length(self) -> int:
        """
        The number of bytes.
        """
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class ContentRange:
    """
    Where an answer's bytes belong; its ``str`` is the header's value.

    Without ``interval`` it is a 416's, without ``size`` the whole is unknown.
    """

    interval: Interval | None
    size: int | None

    def __str__(self) -> str:
        interval = "*" if self.interval is None else f"{self.interval.first}-{self.interval.last}"
        return f"bytes {interval}/{'*' if self.size is None else self.size}"


def parse_range(value: str) -> tuple[ByteRange, ...] | None:
    """
    The ranges of a ``Range`` header, or None for one that is to be ignored.

    RFC 9110 section 14.2 has a server ignore an unknown unit and a malformed
    or egregious set; more than 256 ranges are that.
    """
    unit = _UNIT.fullmatch(value) if len(value) <= _MAX_HEADER else None
    if unit is None:
        return None
    texts = [text for part in unit[1].split(",") if (text := part.strip(" \t"))]
    if len(texts) > MAX_RANGES:
        return None
    ranges = [_parse_one(text) for text in texts]
    valid = tuple(byte_range for byte_range in ranges if byte_range is not None)
    return valid if valid and len(valid) == len(ranges) else None


def resolve(byte_range: ByteRange, size: int) -> Interval | None:
    """
    The bytes that a range means in a content of ``size`` bytes; None where there are none.
    """
    first, last = byte_range.first, byte_range.last
    if first is None:
        first, last = max(0, size - (last or 0)), None
    last = size - 1 if last is None else min(last, size - 1)
    return Interval(first, last) if first <= last else None


def parse_content_range(value: str) -> ContentRange | None:
    """
    What a ``Content-Range`` header says, or None where it makes no sense.
    """
    match = _CONTENT_RANGE.fullmatch(value.strip(" \t"))
    if match is None:
        return None
    size = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return None if size is None else ContentRange(None, size)
    interval = Interval(int(match[1]), int(match[2]))
    fits = interval.length > 0 and (size is None or interval.last < size)
    return ContentRange(interval, size) if fits else None


def _parse_one(text: str) -> ByteRange | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = (None if number is None else int(number) for number in match.groups())
    if last is None:
        return None if first is None else ByteRange(first, None)
    return ByteRange(first, last) if first is None or first <= last else None
