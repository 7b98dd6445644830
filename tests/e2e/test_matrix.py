"""
Every fault of an upstream, met by every way to ask for a blob: the table of docs/faults.rst.

A client ends with the right bytes, or where there are none to be had with a
failure that it sees; never with wrong bytes, or with too few that look whole.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from .conftest import Seats, Start
from .rig import hub as places
from .rig.clients import Seat
from .rig.faulty_origin import Origin, interval, noise, together
from .rig.faulty_plans import CLIENTS_TOKEN, FAULTS, FLIPPED
from .rig.faulty_table import OK, SHORT, UNUSED, Fault, Way
from .rig.faulty_ways import CRAWL, WIDE, attempt, plan
from .rig.hub import Hub
from .rig.mirror import CHECKOUT, Mirror
from .rig.seed import MIB

DOCUMENTED = CHECKOUT / "docs" / "faults.csv"
RANGES: dict[Way, str] = {"range": "bytes=1000003-", "suffix": "bytes=-3000001"}
MANIFEST_RANGES: dict[Way, str] = {"range": "bytes=100-", "suffix": "bytes=-300"}
HEADS: dict[Way, str] = {
    "whole": "GET",
    "range": "GET from a byte on",
    "suffix": "GET of the last bytes",
    "parallel": "GET, connections = 4",
}


@dataclass
class Table:
    """What was seen: a line a fault, a column a way."""

    seen: dict[tuple[str, Way], str] = field(default_factory=dict)

    def rows(self) -> list[list[str]]:
        """The table, with a dash where nothing was run."""
        names = dict.fromkeys(name for name, _ in self.seen)
        lines = [[name, *(self.seen.get((name, way), UNUSED) for way in HEADS)] for name in names]
        return [["Upstream's fault", *HEADS.values()], *lines]

    def lines(self) -> Iterator[str]:
        """The table as text."""
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    def csv(self) -> str:
        """The table as the documentation includes it."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(self.rows())
        return out.getvalue()


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """The table, printed when all is seen."""
    made = Table()
    yield made
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n", *made.lines(), sep="\n")


@pytest.fixture(scope="module")
def unbroken(hub: Hub, start: Start) -> Mirror:
    """https://unbroken.test, whose upstream has the faults."""
    return start(plan(hub, "unbroken", places.UNBROKEN, crawl=CRAWL))


@pytest.fixture(scope="module")
def parallel(hub: Hub, start: Start) -> Mirror:
    """https://parallel.test: the same, over several connections."""
    return start(plan(hub, "parallel", places.PARALLEL, crawl=CRAWL, **WIDE))


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, and the bytes that are right."""

    target: str
    range: str
    right: bytes
    told: str  # Content-Range


def wish(origin: Origin, kind: str, way: Way) -> Wish:
    """A part of what the origin holds, or all of it."""
    content = origin.content
    body = content.layer if kind == "blob" else content.manifest
    asked = (RANGES if kind == "blob" else MANIFEST_RANGES).get(way, "")
    reference = f"blobs/{content.digest}" if kind == "blob" else "manifests/latest"
    found = interval(asked, len(body))
    assert found is not None
    first, last = found
    told = f"bytes {first}-{last}/{len(body)}" if asked else ""
    return Wish(f"/v2/{origin.repository}/{reference}", asked, body[first : last + 1], told)


def outcome(seat: Seat, base: str, wanted: Wish, flipped: bool) -> str:
    """How it ends for curl; raises AssertionError for wrong bytes, or too few that are taken for whole."""
    headers = [f"Authorization: {CLIENTS_TOKEN}", *([f"Range: {wanted.range}"] if wanted.range else [])]
    tried = attempt(seat, base + wanted.target, *headers)
    answer, code = tried.answer, tried.code
    if answer.status >= 400:
        assert code == 0
        assert answer.json()["errors"]
        return f"error {answer.status}"
    assert answer.headers.get("content-range", "") == wanted.told
    if code == 18:
        assert len(answer.body) < len(wanted.right)
        assert wanted.right.startswith(answer.body) or flipped
        return SHORT
    assert code == 0, f"curl: exit {code}"
    assert (answer.status, answer.body == wanted.right) == (206 if wanted.range else 200, True)
    return OK


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a fault is played: the hub, the mirror of each way, and the clients' place."""

    hub: Hub
    mirrors: dict[Way, Mirror]
    seat: Seats

    def play(self, fault: Fault, ways: Sequence[Way]) -> dict[Way, str]:
        """How each way ends, all at one time and each with the fault to itself."""
        origins = [self._origin(fault, way) for way in ways]
        others = [server for origin in origins for server in fault.apply(origin) or []]
        with closing(together(origins).start(*others)), ThreadPoolExecutor(len(ways)) as pool:
            return dict(zip(ways, pool.map(partial(self._see, fault), ways, origins), strict=True))

    def _origin(self, fault: Fault, way: Way) -> Origin:
        size = 8 if way == "parallel" else 4
        return Origin(self.hub, noise(f"{fault.name} {way}", size * MIB), f"some/{way}")

    def _see(self, fault: Fault, way: Way, origin: Origin) -> str:
        wanted = wish(origin, fault.kind, way)
        try:
            return outcome(self.seat(f"matrix-{way}"), self.mirrors[way].url, wanted, fault.name == FLIPPED)
        except AssertionError as wrong:
            return f"WRONG: {wrong}".partition("\n")[0]


@pytest.fixture(scope="module")
def stage(hub: Hub, unbroken: Mirror, parallel: Mirror, seat: Seats) -> Stage:
    """Where the faults are played."""
    mirrors = {way: parallel if way == "parallel" else unbroken for way in HEADS}
    return Stage(hub, mirrors, seat)


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_fault(stage: Stage, table: Table, fault: Fault) -> None:
    """Each way of asking gets the right bytes, or where there are none a failure that the client sees."""
    ways = [way for way in HEADS if fault.ends[way] != UNUSED]
    seen = dict.fromkeys(HEADS, UNUSED) | stage.play(fault, ways)
    table.seen |= {(fault.name, way): how for way, how in seen.items()}
    assert seen == fault.ends


def test_wide(hub: Hub, parallel: Mirror, seat: Seats) -> None:
    """A blob comes over as many connections as are set, at one time, and hardly a byte of it twice."""
    content = noise("wide", 16 * MIB)
    origin = Origin(hub, content)
    origin.cdn.script = lambda asked: replace(origin.blob(asked), pace=4_000_000)
    with closing(origin.start()):
        assert outcome(seat("wide"), parallel.url, wish(origin, "blob", "whole"), False) == OK
    # A connection that docxy has let go is counted until the server's next piece finds nobody.
    assert WIDE["connections"] <= origin.cdn.at_once <= WIDE["connections"] + 1
    assert origin.cdn.sent <= 1.25 * len(content.layer)


def test_documented(table: Table) -> None:
    """docs/faults.csv holds the table as it was seen, or is written so with DOCXY_WRITE_FAULTS=1."""
    if os.environ.get("DOCXY_WRITE_FAULTS") == "1":
        Path(DOCUMENTED).write_text(table.csv())
    documented = {tuple(row) for row in csv.reader(DOCUMENTED.read_text().splitlines())}
    assert {tuple(row) for row in table.rows()} <= documented
