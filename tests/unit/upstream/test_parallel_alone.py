"""Where one body cannot be had over several connections, and where parts of it break."""

from __future__ import annotations

from typing import Any

from docxy.interfaces import Reply, UpstreamBroken
from docxy.oci.errors import TOOMANYREQUESTS
from docxy.testing import MemoryBody
from tests.unit.upstream.parallel_rig import CONTENT, SIZE, ParallelCase, World


class AloneTests(ParallelCase):
    """Where parts cannot be had."""

    def goes_on_alone(self, world: World) -> None:
        """No segment is asked for any more, and the front brings all."""
        self.assertEqual((world.unanswered, world.running()), ([], [world.front]))
        asked = len(world.asked)
        world.front.send()
        self.assert_whole(world)
        self.assertEqual((world.sink.received, len(world.asked)), (CONTENT, asked))

    def test_refused(self) -> None:
        """An answer that is not just the segment's bytes ends it: the front goes on to the end."""
        answers: tuple[dict[str, Any], ...] = (
            {"status": 200},
            {"status": 416},
            {"status": 503},
            {"first": 101},
            {"size": SIZE + 1},
            {"headers": ((b"Content-Encoding", b"gzip"),)},
            {"length": 7},
        )
        for answer in answers:
            world = World().start()
            world.front.send(10)
            refused = world.unanswered[0].answer(**answer)
            self.assertEqual(refused.body.fate, "dropped")
            self.goes_on_alone(world)

    def test_unanswered(self) -> None:
        """So does no answer."""
        for error in (UpstreamBroken("no"), TOOMANYREQUESTS.error()):
            world = World().start()
            second, third = world.unanswered
            third.fail(error)
            second.answer()
            self.assertEqual(len(world.asked), 2)
            world.front.send(500)
            second.send()
            self.assertEqual(world.sink.received, CONTENT[:200])

    def test_unforeseen(self) -> None:
        """An error of ours is logged, and the front goes on."""
        world = World().start()
        world.unanswered[0].fail(KeyError("x"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.goes_on_alone(world)

    def test_late(self) -> None:
        """An answer for what the front has passed is dropped; the next may still be in time."""
        world = World().start()
        second, third = world.unanswered
        world.front.send(150)
        second.answer()
        self.assertEqual(second.body.fate, "dropped")
        third.answer().send()
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:300])
        self.assertEqual(world.asked[2], ("ahead", 300, 400))

    def test_too_late(self) -> None:
        """A front that is faster than every answer goes on alone."""
        world = World().start()
        second, third = world.unanswered
        world.front.send(350)
        third.answer()
        self.assertNotIn(second, world.unanswered)
        self.goes_on_alone(world)

    def test_dropped_answers(self) -> None:
        """An answer whose question could not be taken back is dropped."""
        world = World().start()
        body = MemoryBody(b"x")
        world.too_late = Reply(206, (), 1, "cdn.example", True, body)
        world.unanswered[0].answer(status=416)
        self.assertEqual(body.fate, "dropped")
        self.goes_on_alone(world)

    def test_refused_later(self) -> None:
        """Once the front was shortened, the rest is asked for when its turn comes, and mended as ever."""
        world = World().start()
        second, third = world.unanswered
        second.answer()
        third.answer(status=200)
        world.front.send(500)
        self.assertEqual(len(world.asked), 2)
        second.send()
        world.clock.advance(1.0)
        self.assertEqual(world.asked[2:], [("again", 200, SIZE)])
        world.unanswered[0].answer(status=200)
        for lane in world.running():
            lane.send()
        self.assert_whole(world)
        self.assertEqual(world.sink.received, CONTENT)
        self.assertEqual(dict(world.course.resumes), {"unanswered": 1})

    def test_refused_at_its_turn(self) -> None:
        """The same where the front is what was refused."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        world.front.send(500)
        third.fail()
        world.clock.advance(1.0)
        self.assertEqual(world.asked[-1], ("again", 200, SIZE))
        world.unanswered[-1].answer().send()
        self.assert_whole(world)
        self.assertEqual(world.sink.received, CONTENT)

    def test_refused_between(self) -> None:
        """A refused segment in front of a good one: the front goes up to where it was shortened."""
        world = World().start()
        second, third = world.unanswered
        third.answer().send(10)
        second.answer(status=416)
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:200])
        world.clock.advance(1.0)
        world.unanswered[0].answer().send()
        self.assert_whole(world)

    def test_last_is_refused(self) -> None:
        """Where the refused segment is the last, its bytes alone are asked for."""
        world = World(first=800).start()
        world.unanswered[0].answer(status=206).send()
        self.assertEqual(world.asked, [("ahead", 900, SIZE)])
        world.front.send(500)
        self.assert_whole(world)


class MendingTests(ParallelCase):
    """Segments that break."""

    def test_mended(self) -> None:
        """A segment that breaks is asked for again from its next byte to its end, in its place."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send(30).cut()
        third.answer().send()
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:130])
        world.clock.advance(1.0)
        self.assertIn(("again", 130, 200), world.asked)
        world.unanswered[-1].answer().send()
        self.assertEqual(world.sink.received, CONTENT[:300])
        self.assertEqual(dict(world.course.resumes), {"reset": 1})

    def test_shortened_front_is_mended(self) -> None:
        """The front breaks after it was shortened: it is mended up to its new end."""
        world = World().start()
        world.unanswered[0].answer()
        world.front.send(30).cut()
        world.clock.advance(1.0)
        self.assertIn(("again", 30, 100), world.asked)

    def spend(self, world: World, way: tuple[str, int, int]) -> None:
        """Let every try of one part fail."""
        for _ in range(9):
            world.clock.advance(20.0)  # one look at the pace
            for lane in [lane for lane in world.unanswered if ("again", lane.at, lane.end) == way]:
                lane.fail()

    def test_broken_behind(self) -> None:
        """A segment that cannot be mended before its turn is asked for again with the rest, in its turn."""
        world = World(connections=4).start()
        second, third, fourth = world.unanswered
        second.answer()
        fourth.answer()
        third.answer().send(30).cut()
        self.spend(world, ("again", 230, 300))
        self.assertTrue(fourth.body.stopped)
        asked = len(world.asked)
        world.front.send(500)
        second.send()
        world.clock.advance(1.0)
        self.assertEqual(world.asked[asked:], [("again", 200, SIZE)])
        world.unanswered[-1].answer().send()
        self.assert_whole(world)
        self.assertEqual(world.sink.received, CONTENT)

    def test_broken_in_turn(self) -> None:
        """A front that cannot be mended ends the whole short."""
        world = World().start()
        second, _ = world.unanswered
        second.answer().send(30).cut()
        world.front.send(500)
        self.spend(world, ("again", 130, 200))
        self.assert_short(world, CONTENT[:130])

    def test_broken_tail(self) -> None:
        """So does a rest that cannot be had."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        third.fail()
        world.front.send(500)
        self.spend(world, ("again", 200, SIZE))
        self.assert_short(world, CONTENT[:200])

    def test_first_front_breaks(self) -> None:
        """The first front that cannot be mended ends all."""
        world = World().start()
        world.front.send(10).cut()
        self.spend(world, ("again", 10, SIZE))
        self.assert_short(world, CONTENT[:10])
