"""
Whether another answer goes on where a body broke off.

Owns the judgement of what a resume is answered with.  Takes values and makes
values; asks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from docxy.interfaces import Reply, Span
from docxy.oci.ranges import ContentRange, parse_content_range


class Unfit(Exception):
    """An answer that cannot be gone on with; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    How an answer goes on: past ``skip`` bytes that were delivered before, in what is known as ``span``.

    ``is_rest`` tells that the end of the answer is that of the content.
    """

    skip: int
    span: Span
    is_rest: bool


def first_part(reply: Reply, span: Span) -> Part:
    """How the answer that a body began with delivers ``span``."""
    return Part(span.first if reply.status == 200 else 0, span, True)


def next_part(reply: Reply, span: Span, position: int) -> Part:
    """How a good answer to a resume goes on from byte ``position``; raises `Unfit`."""
    if (reply.header(b"content-encoding") or "identity").strip().lower() != "identity":
        raise Unfit("its bytes are coded")
    if reply.status == 206:
        size = _judged_part(reply, position)
        part = Part(0, _learnt(span, size), size is not None)
    else:
        size = reply.length
        part = Part(position, _learnt(span, size), True)
    if size is not None and size < (position if span.end is None else span.end):
        raise Unfit(f"it is of {size} bytes only")
    if None not in (size, span.size) and size != span.size:
        raise Unfit(f"it is of {size} bytes, not of {span.size}")
    return part


def _judged_part(reply: Reply, position: int) -> int | None:
    """The size that a 206 from ``position`` on tells, if any."""
    told = _told(reply)
    if told is None or told.interval is None:
        raise Unfit("its Content-Range makes no sense")
    if told.interval.first != position:
        raise Unfit(f"it begins at byte {told.interval.first}")
    if reply.length not in (None, told.interval.length):
        raise Unfit("its length is not that of its Content-Range")
    return told.size


def _learnt(span: Span, size: int | None) -> Span:
    if size is None or span.size is not None:
        return span
    return Span(span.first, size if span.end is None else span.end, size)


def is_end(reply: Reply, span: Span, position: int) -> bool:
    """Whether a 416 says that a content of untold size ends at byte ``position``."""
    told = _told(reply)
    return span.end is None and told is not None and told.size == position


def _told(reply: Reply) -> ContentRange | None:
    return parse_content_range(reply.header(b"content-range") or "")
