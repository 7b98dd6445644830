"""
Renewals that the authority wants, and orders that are interrupted.

The authority is pebble; what stands before it speaks of renewals, and holds orders back.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Make
from .rig.pebble import Pebble
from .rig.processes import wait_until
from .rig.renewal_info import EXPLANATION, RenewalInfo, name_of
from .rig.succession import Line
from .rig.waiting import serving
from .test_acme import again, configure, obtained, shown, table, unverifying


@pytest.fixture
def front(folder: Path) -> Iterator[RenewalInfo]:
    """An authority."""
    pebble = Pebble(folder / "pebble")
    with serving(RenewalInfo(pebble)) as started:
        yield started
    pebble.close()


def test_suggested(make: Make, front: RenewalInfo) -> None:
    """A window that is moved forward has the certificate renewed, by an order that says what it replaces."""
    daemon = make("foreground")
    configure(daemon, front, table(daemon, front)).start()
    obtained(daemon)
    context = front.pebble.client_context()
    first = shown(daemon, context)
    daemon.wait_said(f"UTC ({EXPLANATION})")
    assert front.replaced == [None]
    front.suggest_now(first)
    daemon.signal(signal.SIGHUP)
    obtained(daemon, 2)
    second = shown(daemon, context)
    assert second.serial_number != first.serial_number
    assert front.replaced == [None, name_of(first)]
    # Where the authority does not take what is replaced, the order is made all the same.
    front.known = False
    front.suggest_now(second)
    daemon.signal(signal.SIGHUP)
    obtained(daemon, 3)
    assert front.replaced == [None, name_of(first), name_of(second), None]
    assert "no new certificate" not in daemon.said()
    assert "Traceback" not in daemon.said()


def test_stopped_in_an_order(make: Make, front: RenewalInfo) -> None:
    """While an order waits for the authority docxy answers, and ends when it is told to; the next orders."""
    front.go.clear()
    daemon = make("foreground")
    configure(daemon, front, table(daemon, front)).start()
    wait_until(front.held.is_set, "an order", 60)
    assert daemon.status(context=unverifying()) == 200
    daemon.signal(signal.SIGHUP)
    daemon.wait_said("reloaded")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    front.go.set()
    daemon.code = None
    daemon.start()
    obtained(daemon)
    shown(daemon, front.pebble.client_context())
    assert "Traceback" not in daemon.said()


def test_handed_over_in_an_order(make: Make, front: RenewalInfo) -> None:
    """A successor waits for the order of the process before it, or makes its own when that has ended."""
    front.go.clear()
    daemon = make("foreground")
    configure(daemon, front, table(daemon, front)).start()
    wait_until(front.held.is_set, "an order", 60)
    line = Line(daemon)
    try:
        old = line.hand_over()
        assert old.wait(40) == 0
        front.go.set()
        obtained(daemon)
        shown(line.last, front.pebble.client_context())
        assert "no new certificate" not in daemon.said()
        assert "Traceback" not in daemon.said()
    finally:
        line.close()


def test_another_authority(make: Make, front: RenewalInfo, folder: Path) -> None:
    """While another authority has issued nothing yet, the former one's certificate is shown on."""
    daemon = make("foreground")
    configure(daemon, front, table(daemon, front)).start()
    obtained(daemon)
    context = front.pebble.client_context()
    first = shown(daemon, context)
    other = Pebble(folder / "other")
    try:
        text = table(daemon, front).replace(front.directory, other.directory)
        configure(daemon, front, text)
        again(daemon)
        daemon.wait_said("the authority cannot be met (")
        assert shown(daemon, context) == first
        assert "what another authority has issued is shown until then" in daemon.said()
    finally:
        other.close()
