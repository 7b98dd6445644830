"""
How much faster one blob comes over four connections, from a CDN that gives each connection 2 MB/s.

Run as root from a checkout, with the packages of tests/e2e/packages.txt:
``python -m bench.parallel [MiB]``.  Prints seconds, speeds and their ratio.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.e2e.rig import hub as places
from tests.e2e.rig.clients import Seat
from tests.e2e.rig.faulty_origin import REPOSITORY, Content, Origin, noise
from tests.e2e.rig.faulty_ways import attempt, plan
from tests.e2e.rig.hub import Hub
from tests.e2e.rig.mirror import Mirror
from tests.e2e.rig.namespace import Namespace
from tests.e2e.rig.seed import MIB

PACE = 2_000_000  # bytes a second of one connection
CONNECTIONS = (1, 4)


def network(hub: Hub) -> Namespace:
    """The clients' network, on the other end of the mirrors' link."""
    made = Namespace("clients", hub.state / "clients", places.MIRROR_HOSTS)
    made.wire(hub.namespace, [places.CLIENT], list(places.MIRROR_HOSTS))
    return made


def seconds(hub: Hub, clients: Namespace, content: Content, connections: int) -> float:
    """How long one GET takes; raises `AssertionError` for a wrong body."""
    name, address = ("unbroken", places.UNBROKEN) if connections == 1 else ("parallel", places.PARALLEL)
    seat = Seat(clients, hub.state / "seats" / name, hub.authority.cert)
    with closing(Mirror(hub, plan(hub, name, address, connections=connections, stall=15))) as mirror:
        begun = time.monotonic()
        tried = attempt(seat, f"{mirror.url}/v2/{REPOSITORY}/blobs/{content.digest}")
        took = time.monotonic() - begun
        assert (tried.code, tried.answer.body) == (0, content.layer)
        print(
            f"connections = {connections}: {took:.2f} s, {len(content.layer) / took / 1e6:.2f} MB/s, "
            f"peak memory {mirror.peak_memory() / MIB:.0f} MiB"
        )
    return took


def main() -> None:
    """Measure both in one run."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("size", nargs="?", type=int, default=64, metavar="MiB")
    content = noise("bench", options.parse_args().size * MIB)
    state = Path(tempfile.mkdtemp(prefix="docxy-bench-", dir="/tmp"))
    try:
        with closing(Hub(state, seeded=False)) as hub, closing(network(hub)) as clients:
            origin = Origin(hub, content)
            origin.cdn.script = lambda asked: replace(origin.blob(asked), pace=PACE)
            with closing(origin.start()):
                one, several = (seconds(hub, clients, content, connections) for connections in CONNECTIONS)
                print(f"{CONNECTIONS[-1]} connections are {one / several:.2f} times as fast as one")
    finally:
        shutil.rmtree(state)


if __name__ == "__main__":
    main()
