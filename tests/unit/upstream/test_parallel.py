"""One body over several connections: in order, in bounded memory, and over one where it must be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from docxy.interfaces import Course, IBody, Reply, Span, UpstreamBroken
from docxy.settings.values import LimitSettings
from docxy.testing import MemoryBody
from docxy.upstream.parallel import ParallelBody, _Missing, body_maker
from docxy.upstream.unbroken import UnbrokenBody
from tests.unit.upstream.parallel_rig import CONTENT, SETTINGS, SIZE, ParallelCase, World


class OrderTests(ParallelCase):
    """Segments ahead, and their turns."""

    def test_interfaces(self) -> None:
        """It is a body, and its sink's producer."""
        body = World().body
        verifyObject(IBody, body)
        verifyObject(IPushProducer, body)

    def test_asked_ahead(self) -> None:
        """Beside the first answer, as many segments as make up the connections are asked for."""
        world = World(connections=4).start()
        self.assertEqual(world.asked, [("ahead", 100, 200), ("ahead", 200, 300), ("ahead", 300, 400)])

    def test_in_order(self) -> None:
        """What comes out of turn waits for its turn; the front streams."""
        world = World().start()
        second, third = world.unanswered
        second.answer()
        third.answer().send(50)
        second.send(50)
        world.front.send(60)
        self.assertEqual(world.sink.received, CONTENT[:60])
        world.front.send(60)  # it ends where the second begins
        self.assertEqual(world.sink.received, CONTENT[:150])
        second.send(10)
        self.assertEqual(world.sink.received, CONTENT[:160])
        second.send()
        self.assertEqual(world.sink.received, CONTENT[:250])
        self.assertEqual(world.held(), 0)

    def test_whole(self) -> None:
        """Segment after segment comes, each asked for when there is room, up to the end."""
        world = World().start()
        while world.unanswered or world.running():
            self.assertLessEqual(len(world.unanswered) + len(world.running()), 3 + 1)  # the first's leftover
            for lane in list(world.unanswered):
                lane.answer()
            for lane in reversed(world.running()):
                lane.send(30)
        self.assert_whole(world)
        self.assertEqual(len(world.sink.received), SIZE)
        self.assertEqual([first for _, first, _ in world.asked], list(range(100, SIZE, 100)))
        self.assertEqual(world.course.hosts, ["cdn.example"])
        self.assertEqual(world.course.resumes.total(), 0)

    def test_part(self) -> None:
        """The client's own range is fetched in parts as well, and no byte beyond it."""
        world = World(first=650).start()
        self.assertEqual(world.asked, [("ahead", 750, 850), ("ahead", 850, 950)])
        while world.unanswered or world.running():
            for lane in list(world.unanswered):
                lane.answer()
            for lane in world.running():
                lane.send()
        self.assert_whole(world)
        self.assertEqual(world.sink.received, CONTENT[650:])
        self.assertEqual(world.asked[-1], ("ahead", 950, SIZE))

    def test_answers_out_of_order(self) -> None:
        """A later segment's answer shortens the front, an earlier one's shortens it more."""
        world = World().start()
        second, third = world.unanswered
        third.answer().send()
        second.answer().send()
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:300])

    def test_passed_while_asking(self) -> None:
        """A segment that is not answered when the front has passed it is given up."""
        world = World().start()
        second, third = world.unanswered
        third.answer().send(1)
        world.front.send(500)
        self.assertNotIn(second, world.unanswered)
        self.assertEqual(world.sink.received, CONTENT[:201])

    def test_front_waits_for_an_answer(self) -> None:
        """A segment whose turn has come before its answer is streamed once that is there."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:200])
        third.answer().send(10)
        self.assertEqual(world.sink.received, CONTENT[:210])

    def test_sender_of_too_much(self) -> None:
        """What an answer sends beyond its segment is not taken."""
        world = World().start()
        second, third = world.unanswered
        second.answer().body.arrive(CONTENT[100:350])
        third.answer().send(10)
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:210])


class BoundTests(ParallelCase):
    """Memory."""

    def test_slow_front(self) -> None:
        """However slow the front is, no more than the connections' segments are held."""
        world = World().start()
        world.front.send(1)
        while world.unanswered or len(world.running()) > 1:
            for lane in list(world.unanswered):
                lane.answer()
            for lane in world.running()[1:]:
                lane.send()
        self.assertEqual(world.held(), 300)
        self.assertEqual(world.sink.received, CONTENT[:1])
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:400])
        self.assertEqual([first for _, first, _ in world.asked[3:]], [400, 500, 600])

    def test_paused(self) -> None:
        """While the sink is paused the front stands, the others fill, and nothing more is asked for."""
        world = World().start()
        second, third = world.unanswered
        second.answer()
        third.answer()
        world.sink.producer.pauseProducing()
        self.assertTrue(world.front.body.paused)
        second.send()
        third.send(70)
        self.assertEqual((world.held(), len(world.asked), world.sink.received), (170, 2, b""))
        world.sink.producer.resumeProducing()
        self.assertEqual(len(world.asked), 3)
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:270])

    def test_paused_in_the_middle(self) -> None:
        """A sink that pauses gets no more of what is held, and the front that follows stands."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        third.answer().send(10)
        world.sink.pauses_at = {100, 200}
        world.front.send(500)
        self.assertEqual(len(world.sink.received), 100)
        self.assertFalse(third.body.paused)
        world.sink.producer.resumeProducing()
        self.assertEqual(len(world.sink.received), 200)
        self.assertTrue(third.body.paused)
        world.sink.producer.resumeProducing()
        self.assertEqual(len(world.sink.received), 210)
        self.assertFalse(third.body.paused)

    def test_paused_at_the_answer(self) -> None:
        """An answer that comes for the front of a paused sink stands from the start."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        world.front.send(500)
        world.sink.producer.pauseProducing()
        third.answer()
        self.assertTrue(third.body.paused)
        world.sink.producer.resumeProducing()
        third.send(10)
        self.assertEqual(world.sink.received, CONTENT[:210])

    def test_bytes_after_a_pause(self) -> None:
        """Bytes of the front that come in spite of a pause wait, in order."""
        world = World().start()
        world.sink.producer.pauseProducing()
        world.front.body.paused = False
        world.front.send(10)
        self.assertEqual((world.sink.received, world.held()), (b"", 10))
        world.sink.producer.resumeProducing()
        world.front.send(10)
        self.assertEqual((world.sink.received, world.held()), (CONTENT[:20], 0))

    def test_resumed_while_served(self) -> None:
        """A sink that pauses and resumes inside of a delivery gets every byte once and in order."""
        world = World().start()
        world.sink.resumes = True
        world.sink.pauses_at = set(range(0, SIZE, 7))
        second, third = world.unanswered
        second.answer().send(40)
        world.front.body.arrive(CONTENT[:300])
        second.send(60)
        third.answer().send()
        self.assertEqual(world.sink.received, CONTENT[:300])


class LeavingTests(ParallelCase):
    """The sink leaves."""

    def test_while_asking(self) -> None:
        """Questions are taken back, answers stopped; nothing follows."""
        world = World().start()
        world.unanswered[0].answer().send(10)
        world.sink.producer.stopProducing()
        self.assert_over(world)
        self.assertEqual((world.sink.ends, world.held()), ([], 0))
        for act in (world.sink.producer.pauseProducing, world.sink.producer.resumeProducing):
            act()
        self.assertEqual(len(world.asked), 2)

    def test_while_served(self) -> None:
        """It leaves inside of a delivery."""
        world = World().start()
        second, third = world.unanswered
        second.answer().send()
        third.answer().send()
        world.sink.stops_at = 150
        world.front.send(500)
        self.assertEqual(world.sink.received, CONTENT[:200])
        self.assertEqual(world.sink.ends, [])
        self.assert_over(world)

    def test_at_once(self) -> None:
        """It leaves before the first byte."""
        world = World()
        world.sink.stops_at = 0
        world.start()
        self.assertEqual((world.front.body.fate, world.asked), ("dropped", []))
        self.assert_over(world)

    def test_not_taken(self) -> None:
        """A body that nobody takes is dropped, or read, by its first answer alone."""
        world = World()
        world.body.drop()
        self.assertEqual((world.front.body.fate, world.asked), ("dropped", []))
        world = World()
        read = world.body.read(SIZE)
        world.front.send()
        self.assertEqual(self.successResultOf(read), CONTENT)


class MakerTests(SynchronousTestCase):
    """Which bodies are fetched in parts."""

    def made(self, span: Span, connections: int = 4, ask: Any = True, ahead: Any = True) -> IBody:
        """A body of that span."""
        world = World()
        make = body_maker(LimitSettings(), world.clock)
        upstream = replace(SETTINGS, connections=connections, parallel_from=500)
        reply = Reply(200, (), None, "cdn.example", True, MemoryBody())
        return make(
            reply,
            span,
            Course(),
            world.ask if ask else None,
            upstream,
            world.ahead if ahead else None,
        )

    def test_which(self) -> None:
        """Large ones of known size that can be mended, where the settings say so."""
        large = Span(500, 1000, 1000)
        self.assertIsInstance(self.made(large), ParallelBody)
        self.assertIsInstance(self.made(large, connections=2), ParallelBody)
        for other in (
            self.made(large, connections=1),
            self.made(large, ask=False),
            self.made(large, ahead=False),
            self.made(Span(501, 1000, 1000)),
            self.made(Span(0, None, None)),
            self.made(Span(0, 1000, None)),
        ):
            self.assertIsInstance(other, UnbrokenBody)

    def test_missing(self) -> None:
        """The body that stands for no answer has nothing to give."""
        missing = _Missing()
        verifyObject(IBody, missing)
        missing.drop()
        self.failureResultOf(missing.read(1), UpstreamBroken)
