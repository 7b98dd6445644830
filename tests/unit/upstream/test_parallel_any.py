"""One body over several connections, whatever becomes of them."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.client import ResponseDone

from tests.unit.upstream.parallel_rig import CONTENT, ParallelCase, World

ACTS = ("send", "send", "send", "answer", "answer", "refuse", "fail", "cut", "pause", "resume", "wait")


class AnyCourseTests(ParallelCase):
    """Whatever comes, in whatever order."""

    def act(self, world: World, act: str, number: int) -> None:
        """Do one thing to one of those that it can be done to."""
        lanes = {"answer": world.unanswered, "refuse": world.unanswered, "fail": world.unanswered}
        among = lanes.get(act, world.running())
        lane = among[number % len(among)] if among else None
        if act == "wait":
            world.clock.advance(number / 10)
        elif act == "pause":
            world.sink.producer.pauseProducing()
        elif act == "resume":
            world.sink.producer.resumeProducing()
        elif lane is not None and act == "refuse":
            lane.answer(status=(200, 416, 503, 404)[number % 4])
        elif lane is not None and act == "send":
            lane.send(number)
        elif lane is not None:
            getattr(lane, act)()

    def finish(self, world: World) -> None:
        """From here on all goes well."""
        for _ in range(500):
            if world.sink.ends:
                return
            world.sink.producer.resumeProducing()
            for lane in list(world.unanswered):
                if lane in world.unanswered:
                    lane.answer()
            for lane in world.running():
                lane.send()
            world.clock.advance(1.0)
        self.fail("it does not come to its end")

    @given(
        st.integers(1, 400),
        st.integers(2, 5),
        st.integers(1, 60),
        st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 160)), max_size=60),
        st.sets(st.integers(0, 400), max_size=5),
    )
    @settings(derandomize=True, max_examples=200, deadline=None)
    def test_content(
        self, size: int, connections: int, segment: int, acts: list[tuple[str, int]], pauses: set[int]
    ) -> None:
        """
        What comes out is the content, all of it or, after a failure, its beginning; memory stays bounded.
        """
        world = World(CONTENT[:size], connections, segment)
        world.sink.pauses_at = pauses
        world.sink.resumes = size % 2 == 0
        world.start()
        for act, number in acts:
            if world.sink.ends:
                break
            self.act(world, act, number)
            self.assertLessEqual(world.held(), connections * segment)
            self.assertEqual(world.sink.received, world.content[: len(world.sink.received)])
        self.finish(world)
        if world.sink.ends[0].check(ResponseDone):
            self.assert_whole(world)
            self.assertEqual(world.sink.received, world.content)
        else:
            self.assert_short(world, world.content[: len(world.sink.received)])

    @given(st.integers(1, 1000), st.integers(2, 5), st.integers(1, 100), st.randoms(use_true_random=False))
    @settings(derandomize=True, max_examples=100, deadline=None)
    def test_breaks(self, size: int, connections: int, segment: int, chance: Random) -> None:
        """Parts that break again and again, each after some bytes, make up the whole content."""
        world = World(CONTENT[:size], connections, segment).start()
        while not world.sink.ends:
            for lane in list(world.unanswered):
                if lane in world.unanswered:
                    lane.answer()
            for lane in chance.sample(world.running(), len(world.running())):
                lane.send(chance.randint(1, 50))
                if not lane.is_over and chance.random() < 0.5:
                    lane.cut()
            world.clock.advance(1.0)
        self.assert_whole(world)
        self.assertEqual(world.sink.received, world.content)
