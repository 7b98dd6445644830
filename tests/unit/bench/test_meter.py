"""
CPU and memory of a session of processes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench.meter import Meter

_TICKS = os.sysconf("SC_CLK_TCK")


class MeterTests(SynchronousTestCase):
    """A /proc of three processes, two of them in session 10."""

    def setUp(self) -> None:
        self.proc = Path(tempfile.mkdtemp(prefix="docxy-meter-"))
        self.addCleanup(shutil.rmtree, self.proc)
        self.process(10, "leader) of (it", session=10, ticks=(1, 2, 3, 4), resident=(5, 6))
        self.process(11, "worker", session=10, ticks=(10, 20, 0, 0), resident=(50, 60))
        self.process(12, "other", session=12, ticks=(1000, 0, 0, 0), resident=(500, 600))
        (self.proc / "meminfo").write_text("")
        (self.proc / "13").mkdir()  # it has just ended
        self.meter = Meter(10, self.proc)

    def process(
        self, pid: int, name: str, session: int, ticks: tuple[int, ...], resident: tuple[int, int]
    ) -> None:
        """One folder below /proc."""
        folder = self.proc / str(pid)
        folder.mkdir()
        used = " ".join(str(tick) for tick in ticks)
        (folder / "stat").write_text(f"{pid} ({name}) S 1 {pid} {session} 0 -1 4194304 1 2 3 4 {used} 20 0 1")
        (folder / "status").write_text(f"Name:\t{name}\nVmHWM:\t{resident[1]} kB\nVmRSS:\t{resident[0]} kB\n")

    def test_cpu(self) -> None:
        """User and system time of all its processes and of those they waited for."""
        self.assertEqual(self.meter.cpu(), 40 / _TICKS)

    def test_memory(self) -> None:
        """What is resident now and was at most, of all its processes."""
        self.assertEqual((self.meter.memory(), self.meter.peak()), (55 * 1024, 66 * 1024))

    def test_zombie(self) -> None:
        """A process that has ended and was not waited for has no memory."""
        (self.proc / "11/status").write_text("Name:\tworker\nState:\tZ (zombie)\n")
        self.assertEqual(self.meter.memory(), 5 * 1024)

    def test_reset(self) -> None:
        """The peak begins anew for all its processes and for no other."""
        self.meter.reset()
        told = [(self.proc / str(pid) / "clear_refs").exists() for pid in (10, 11, 12)]
        self.assertEqual(told, [True, True, False])

    def test_real(self) -> None:
        """A real process has memory, and a peak that is no less."""
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        ) as process:
            meter = Meter(process.pid)
            meter.reset()
            resident = meter.memory()
            self.assertGreater(resident, 0)
            self.assertGreaterEqual(meter.peak(), resident)
            process.communicate(b"\n")
