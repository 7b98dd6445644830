"""
A run: every case through every way, round by round, so that what the machine does besides hits all alike.

Owns the order and the life of the proxies. It neither knows what a case does nor what becomes of the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bench import load
from bench.cases import Case
from bench.place import Place
from bench.results import Results
from bench.ways import Proxy, Way
from tests.e2e.rig.processes import RigError

Say = Callable[[str], None]
_ERRORS = (RigError, AssertionError, OSError)


def run_case(place: Place, case: Case, ways: Sequence[Way], rounds: int, results: Results, say: Say) -> None:
    """Measure one case; a way that fails leaves it, with its reason in the results."""
    results.titles[case.name] = case.title
    running: dict[str, Proxy] = {}
    fitting = [way for way in ways if case.fits(way)]
    rounds = min(rounds, case.most or rounds)
    try:
        for way in fitting:
            _try(case, way, results, partial(_begin, place, case, way, running))
        for number in range(rounds):
            turn = number % max(len(fitting), 1)
            for way in fitting[turn:] + fitting[:turn]:
                if (case.name, way.name) not in results.failures:
                    _try(case, way, results, partial(_round, place, case, way, running, results))
            say(f"{case.name}: round {number + 1} of {rounds}")
    finally:
        for proxy in running.values():
            proxy.close()


def _try(case: Case, way: Way, results: Results, step: Callable[[], None]) -> None:
    try:
        step()
    except _ERRORS as error:
        results.fail(case.name, way.name, " ".join(str(error).split())[:300])


def _begin(place: Place, case: Case, way: Way, running: dict[str, Proxy]) -> None:
    if case.life == "case":
        _ready(place, case, way, running)


def _round(place: Place, case: Case, way: Way, running: dict[str, Proxy], results: Results) -> None:
    if case.life == "exec":
        running[way.name] = way.start(place, case.setup)
    elif case.life == "round":
        _ready(place, case, way, running)
    proxy = running[way.name]
    proxy.renew()
    results.add(case.name, way.name, case.measure(place, proxy))
    if case.life != "case":
        running.pop(way.name).close()


def _ready(place: Place, case: Case, way: Way, running: dict[str, Proxy]) -> None:
    proxy = running[way.name] = way.start(place, case.setup)
    if proxy.process:
        proxy.process.ready(partial(place.namespace.answers, proxy.address, proxy.port))
    # What a process does once in its life, as it would have long ago, is not part of any figure.
    load.fetch(place, [proxy.url + place.content.layers[0].path])
    if way.primed:
        case.measure(place, proxy)
