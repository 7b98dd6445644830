"""
What processes use: CPU seconds and memory of a session, from /proc.

Every part of the bench is started in a session of its own, so a proxy's workers count with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_RESET_PEAK = "5"  # proc(5), clear_refs
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Meter:
    """The processes of the session that ``leader`` leads."""

    leader: int
    proc: Path = Path("/proc")

    def cpu(self) -> float:
        """CPU seconds so far, user and system, of all its processes and of those that they waited for."""
        return sum(sum(int(field) for field in fields[11:15]) for _, fields in self._each()) / _TICKS

    def memory(self) -> int:
        """Bytes resident now, summed: pages that processes share count once for each."""
        return sum(self._status(folder, "VmRSS:") for folder, _ in self._each())

    def peak(self) -> int:
        """The most bytes that each has had resident since `reset`, summed."""
        return sum(self._status(folder, "VmHWM:") for folder, _ in self._each())

    def reset(self) -> None:
        """Let the peak begin anew."""
        for folder, _ in self._each():
            with suppress(*_GONE):
                (folder / "clear_refs").write_text(_RESET_PEAK)

    def _each(self) -> Iterator[tuple[Path, list[str]]]:
        """The folder of each process, and what follows its name in its stat."""
        for folder in self.proc.iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(*_GONE):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.leader:
                    yield folder, fields

    @staticmethod
    def _status(folder: Path, key: str) -> int:
        with suppress(*_GONE):
            for line in (folder / "status").read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        return 0
