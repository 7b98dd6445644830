"""
Tests for `docxy.oci.ranges`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.ranges import ByteRange, ContentRange, Interval, parse_content_range, parse_range, resolve

quick = settings(derandomize=True, max_examples=150, deadline=None)

RANGES = [
    ("bytes=0-", (ByteRange(0, None),)),
    ("bytes=5-", (ByteRange(5, None),)),
    ("Bytes=0-0", (ByteRange(0, 0),)),
    ("bytes=-7", (ByteRange(None, 7),)),
    ("bytes=-0", (ByteRange(None, 0),)),
    ("bytes=0-99,5000-5999,-1", (ByteRange(0, 99), ByteRange(5000, 5999), ByteRange(None, 1))),
    ("bytes= 0-1 ,\t2-3, ,", (ByteRange(0, 1), ByteRange(2, 3))),
    ("bytes=" + "9" * 19 + "-", (ByteRange(10**19 - 1, None),)),
    ("bytes=" + "0-0," * 256, (ByteRange(0, 0),) * 256),
]
IGNORED = [
    "",
    "bytes",
    "bytes=",
    "bytes=,",
    "bytes=-",
    "bytes=5",
    "bytes=5-4",
    "bytes=a-b",
    "bytes=0-1;2-3",
    "bytes=0 - 1",
    "bytes=--1",
    "bytes=+1-2",
    "bytes=0-1,x",
    "bytes=0-1,3-2",
    "bytes =0-1",
    "bytes=0-1\n",
    "items=0-1",
    "bytes=\u0661-",
    "bytes=" + "9" * 20 + "-",
    "bytes=" + "0-0," * 257,
    "bytes=" + "1" * 20000,
]
RESOLVED = [
    (ByteRange(0, None), 10, Interval(0, 9)),
    (ByteRange(9, None), 10, Interval(9, 9)),
    (ByteRange(10, None), 10, None),
    (ByteRange(0, 4), 10, Interval(0, 4)),
    (ByteRange(5, 99), 10, Interval(5, 9)),
    (ByteRange(10, 99), 10, None),
    (ByteRange(None, 3), 10, Interval(7, 9)),
    (ByteRange(None, 99), 10, Interval(0, 9)),
    (ByteRange(None, 0), 10, None),
    (ByteRange(None, None), 10, None),
    (ByteRange(0, None), 0, None),
    (ByteRange(0, 0), 0, None),
    (ByteRange(None, 5), 0, None),
]
CONTENT_RANGES = [
    ("bytes 0-9/10", ContentRange(Interval(0, 9), 10)),
    ("bytes 5-5/*", ContentRange(Interval(5, 5), None)),
    ("bytes */10", ContentRange(None, 10)),
    ("bytes */0", ContentRange(None, 0)),
]
BAD_CONTENT_RANGES = [
    "",
    "bytes",
    "bytes 0-9",
    "bytes */*",
    "bytes 9-0/10",
    "bytes 0-10/10",
    "bytes 0-9/9",
    "bytes=0-9/10",
    "bytes 0-/10",
    "bytes -9/10",
    "items 0-9/10",
    "bytes 0-9/10, bytes 0-9/10",
    "bytes 0-9/10\n",
    "bytes 0-" + "9" * 20 + "/*",
    "bytes 0-9/\u0661\u0660",
]
NUMBERS = st.integers(0, 30)


class RangeTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """Single, open, final and many ranges are read."""
        for value, ranges in RANGES:
            self.assertEqual(parse_range(value), ranges, value)

    def test_ignored(self) -> None:
        """Another unit, a malformed set and an egregious one are to be ignored."""
        for value in IGNORED:
            self.assertIsNone(parse_range(value), value[:40])

    @quick
    @given(st.text(max_size=30) | st.text("0123456789-, ", max_size=30).map("bytes={}".format))
    def test_any_value(self, value: str) -> None:
        """Any value is ignored or gives ranges whose ends are in order."""
        for byte_range in parse_range(value) or ():
            first, last = byte_range.first, byte_range.last
            self.assertTrue(first is None or last is None or first <= last)


class ResolveTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A range means the bytes that the content has of it, or none."""
        for byte_range, size, interval in RESOLVED:
            self.assertEqual(resolve(byte_range, size), interval)

    @quick
    @given(NUMBERS, NUMBERS, NUMBERS)
    def test_like_slices(self, first: int, last: int, size: int) -> None:
        """The arithmetic agrees with that of slices."""
        content = range(size)
        table = [
            (ByteRange(first, None), content[first:]),
            (ByteRange(first, last), content[first : last + 1]),
            (ByteRange(None, last), content[-last:] if last else content[:0]),
        ]
        for byte_range, expected in table:
            interval = resolve(byte_range, size)
            got = [] if interval is None else list(range(interval.first, interval.last + 1))
            self.assertEqual(got, list(expected))
            self.assertEqual(0 if interval is None else interval.length, len(expected))


class ContentRangeTests(SynchronousTestCase):
    def test_both_ways(self) -> None:
        """What is read is written the same."""
        for value, content_range in CONTENT_RANGES:
            self.assertEqual(parse_content_range(value), content_range)
            self.assertEqual(str(content_range), value)

    def test_lenient(self) -> None:
        """Case of the unit and space around the value do not matter."""
        self.assertEqual(parse_content_range(" BYTES 0-9/10\t"), ContentRange(Interval(0, 9), 10))

    def test_invalid(self) -> None:
        """What contradicts itself or the grammar is no content range."""
        for value in BAD_CONTENT_RANGES:
            self.assertIsNone(parse_content_range(value), value)

    @quick
    @given(st.text(max_size=30) | st.text("0123456789-/* ", max_size=20).map("bytes {}".format))
    def test_any_value(self, value: str) -> None:
        """Any value is none, or one that is read again as it is written."""
        content_range = parse_content_range(value)
        if content_range is not None:
            self.assertEqual(parse_content_range(str(content_range)), content_range)
