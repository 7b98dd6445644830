"""
`docxy check` where docxy obtains its certificate from a real authority: before, beside, in trouble.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from .conftest import Make
from .rig.daemon import Daemon, Slow
from .rig.mirror import CHECKOUT
from .rig.pebble import Pebble
from .rig.processes import Finished, environment, run
from .test_acme import configure, obtained, table
from .test_check import DOCUMENTED, DOCXY, steady, wrong

HERE = "localhost"  # a name that leads somewhere on every machine


@pytest.fixture
def pebble(folder: Path) -> Iterator[Pebble]:
    """An authority."""
    started = Pebble(folder / "pebble")
    yield started
    started.close()


def checked(daemon: Daemon) -> Finished:
    """What is found by its settings."""
    there = environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1")
    done = run([sys.executable, "-c", DOCXY, "check", "--config", str(daemon.config)], there, 90)
    print(done.out)
    assert done.err == ""
    return done


def lines(done: Finished, daemon: Daemon, *wanted: str) -> None:
    """Fail unless these lines are there, `STATE` for the folder that is kept."""
    for line in wanted:
        assert line.replace("STATE", str(daemon.folder / "acme")) in done.out.splitlines()


def kept(text: str) -> list[str]:
    """The lines of ``text``, without what is another's in each set-up."""
    own = (
        r"localhost[:_]\d+",
        r"\b(localhost|mirror\.example\.com)\b",
        r"my-account/\w+",
        r"(this user|docxy) can",
    )
    for pattern in own:
        text = re.sub(pattern, "...", text.replace("/var/lib/docxy/", "/tmp/docxy/"))
    return steady(text)


def documented(done: Finished, sentence: str) -> None:
    """Fail unless what the documentation shows below this sentence was printed."""
    (block,) = re.findall(rf"{sentence}\n\n.. code-block:: none\n\n((?:   .*\n)+)", DOCUMENTED)
    elsewhere = re.compile(r"✓ (acme proofs|name \.\.\.): ")  # ports and addresses are others here
    wanted = [line for line in kept(dedent(block)) if not elsewhere.match(line)]
    assert [line for line in wanted if line not in kept(done.out)] == []


def test_before_and_beside(make: Make, pebble: Pebble, slow: Slow) -> None:
    """Before the first start the certificate is awaited, later it is there; the check makes nothing."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, HERE) + slow.table)
    done = checked(daemon)
    assert (done.code, wrong(done)) == (0, [])
    lines(
        done,
        daemon,
        "✓ acme state: this user can keep account and certificate in STATE",
        "✓ acme account: none yet: it is made with the first order",
        "! acme certificate: awaited: what docxy shows until it is there clients refuse",
        f"✓ acme {pebble.directory}: answers, TLS is right",
        f"✓ listener tcp:{pebble.http}:interface=127.0.0.1: free",
    )
    documented(done, "it alone can tell: what it said is in docxy's log\\.")
    assert f"✓ name {HERE}: leads to " in done.out
    assert not (daemon.folder / "acme").exists()
    assert "POST /" not in pebble.said()

    daemon.start()
    obtained(daemon)
    asked = pebble.said().count("POST /")
    done = checked(daemon)
    assert (done.code, wrong(done)) == (0, [])
    assert f"✓ certificate {daemon.folder}/acme/" in done.out
    assert f": {HERE}; 2 in the chain; ends " in done.out
    assert "✓ acme certificate: obtained; the next about " in done.out
    assert "✓ acme account: https://localhost:" in done.out
    assert f"✓ listener ssl:{pebble.tls}:interface=127.0.0.1: held by the docxy that runs" in done.out
    documented(done, "Once the certificate is there:")
    assert pebble.said().count("POST /") == asked


def test_in_vain(make: Make, pebble: Pebble, slow: Slow) -> None:
    """What the authority does not believe is wrong, and that it is tried again is told."""
    pebble.lose(HERE)
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, HERE) + slow.table).start()
    daemon.wait_said("acme: no new certificate for")
    done = checked(daemon)
    ((line, remedy),) = wrong(done)
    assert (done.code, "1 try has failed, the next is at " in line) == (1, True)
    assert "SIGHUP" in remedy
    documented(done, "And where the authority does not believe:")


def test_authority(make: Make, pebble: Pebble, slow: Slow, folder: Path) -> None:
    """An authority that nobody vouches for, one that is gone, and one that wants to know its accounts."""
    daemon = make("foreground")
    text = table(daemon, pebble, HERE) + slow.table
    configure(daemon, pebble, text.replace("\nca = ", "\n#ca = "))
    ((line, remedy),) = wrong(checked(daemon))
    assert line.startswith(f"✗ acme {pebble.directory}: the authority cannot be met (")
    assert ("certificate verify failed" in line, "[acme]" in remedy) == (True, True)
    pebble.close()
    configure(daemon, pebble, text)
    ((line, remedy),) = wrong(checked(daemon))
    assert ("Connection refused" in line, f"curl -v {pebble.directory}" in remedy) == (True, True)
    bound = Pebble(folder / "bound", bound=True)
    try:
        configure(daemon, bound, table(daemon, bound, HERE) + slow.table)
        ((line, remedy),) = wrong(checked(daemon))
        assert line == "✗ acme acme.eab_kid: the authority wants to know your account there"
    finally:
        bound.close()


def test_name(make: Make, pebble: Pebble, slow: Slow) -> None:
    """A name that is not found here is not found by the authority."""
    daemon = make("foreground")
    configure(daemon, pebble, table(daemon, pebble, HERE, "nowhere.invalid") + slow.table)
    ((line, remedy),) = wrong(checked(daemon))
    assert line == "✗ name nowhere.invalid: does not resolve"
    assert remedy.endswith("or mend acme.domains")
