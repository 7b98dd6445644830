"""Whether another answer goes on where a body broke off."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply, Span
from docxy.testing import MemoryBody, reply
from docxy.upstream.parts import Part, Unfit, first_part, is_end, next_part

TOLD = Span(0, 100, 100)
UNTOLD = Span(0, None, None)
HALF_TOLD = Span(10, 50, None)


def whole(length: int | None, *headers: tuple[bytes, bytes]) -> Reply:
    """A 200."""
    return reply(200, MemoryBody(), headers, length=length)


def partial(told: bytes | None, length: int | None = None) -> Reply:
    """A 206."""
    return reply(206, MemoryBody(), [] if told is None else [(b"Content-Range", told)], length=length)


class FirstTests(SynchronousTestCase):
    """The answer that a body begins with."""

    def test_first(self) -> None:
        """Of a whole one what lies before the span is skipped, a part begins where the span does."""
        self.assertEqual(first_part(whole(100), Span(5, 9, 100)), Part(5, Span(5, 9, 100), True))
        self.assertEqual(first_part(partial(b"bytes 5-8/100"), TOLD), Part(0, TOLD, True))


class NextTests(SynchronousTestCase):
    """Answers to resumes from byte 40 on."""

    def test_fitting(self) -> None:
        """Parts go on at once and whole ones after a skip; what they tell of the size is learnt."""
        table: tuple[tuple[Span, Reply, Part], ...] = (
            (TOLD, partial(b"bytes 40-99/100"), Part(0, TOLD, True)),
            (TOLD, partial(b"bytes 40-99/100", 60), Part(0, TOLD, True)),
            (TOLD, partial(b"bytes 40-49/*"), Part(0, TOLD, False)),
            (TOLD, whole(100), Part(40, TOLD, True)),
            (TOLD, whole(None), Part(40, TOLD, True)),
            (TOLD, whole(100, (b"Content-Encoding", b"identity")), Part(40, TOLD, True)),
            (UNTOLD, partial(b"bytes 40-49/*"), Part(0, UNTOLD, False)),
            (UNTOLD, partial(b"bytes 40-49/90"), Part(0, Span(0, 90, 90), True)),
            (UNTOLD, whole(90), Part(40, Span(0, 90, 90), True)),
            (UNTOLD, whole(40), Part(40, Span(0, 40, 40), True)),
            (UNTOLD, whole(None), Part(40, UNTOLD, True)),
            (HALF_TOLD, partial(b"bytes 40-49/90"), Part(0, Span(10, 50, 90), True)),
            (HALF_TOLD, whole(90), Part(40, Span(10, 50, 90), True)),
        )
        for span, answer, part in table:
            self.assertEqual(next_part(answer, span, 40), part)

    def test_unfit(self) -> None:
        """Another place, another size, coded bytes and nonsense do not go on, and it is said why."""
        table: tuple[tuple[Span, Reply, str], ...] = (
            (TOLD, partial(b"bytes 41-99/100"), "begins at byte 41"),
            (TOLD, partial(b"bytes 0-99/100"), "begins at byte 0"),
            (TOLD, partial(b"bytes 40-99/101"), "of 101 bytes, not of 100"),
            (TOLD, partial(b"bytes 40-89/90"), "of 90 bytes only"),
            (TOLD, partial(b"bytes 40-99/100", 61), "length"),
            (TOLD, partial(b"bytes */100"), "no sense"),
            (TOLD, partial(b"40-99"), "no sense"),
            (TOLD, partial(None), "no sense"),
            (TOLD, whole(101), "of 101 bytes, not of 100"),
            (TOLD, whole(99), "of 99 bytes only"),
            (TOLD, whole(100, (b"Content-Encoding", b"gzip")), "coded"),
            (UNTOLD, whole(39), "of 39 bytes only"),
            (UNTOLD, whole(0), "of 0 bytes only"),
            (HALF_TOLD, whole(49), "of 49 bytes only"),
            (HALF_TOLD, partial(b"bytes 40-44/45"), "of 45 bytes only"),
        )
        for span, answer, why in table:
            error = self.assertRaises(Unfit, next_part, answer, span, 40)
            self.assertIn(why, str(error))

    @settings(derandomize=True, max_examples=200, deadline=None)
    @given(
        st.sampled_from([200, 206]),
        st.none() | st.integers(0, 120),
        st.text("bytes 0123456789-/*", max_size=24)
        | st.builds("bytes {}-{}/{}".format, *[st.integers(0, 99)] * 3),
        st.sampled_from([TOLD, UNTOLD, HALF_TOLD]),
        st.integers(10, 49),
    )
    def test_any(self, status: int, length: int | None, told: str, span: Span, position: int) -> None:
        """Whatever is told: a part leads on from the position within the span, or it is unfit."""
        answer = reply(status, MemoryBody(), [(b"Content-Range", told.encode())], length=length)
        try:
            part = next_part(answer, span, position)
        except Unfit:
            return
        self.assertIn(part.skip, (0, position))
        self.assertEqual(part.span.first, span.first)
        if part.span.end is not None:
            self.assertLessEqual(position, part.span.end)
            self.assertIn(span.end, (None, part.span.end))
        self.assertIn(span.size, (None, part.span.size))


class EndTests(SynchronousTestCase):
    """416 where no size was told."""

    def test_table(self) -> None:
        """Only one that tells just the size that came says that it was all."""
        for told, span, expected in (
            (b"bytes */40", UNTOLD, True),
            (b"bytes */41", UNTOLD, False),
            (b"bytes */39", UNTOLD, False),
            (b"", UNTOLD, False),
            (b"bytes */40", TOLD, False),
            (b"bytes */40", HALF_TOLD, False),
        ):
            answer = reply(416, b"", [(b"Content-Range", told)])
            self.assertEqual(is_end(answer, span, 40), expected, (told, span))
