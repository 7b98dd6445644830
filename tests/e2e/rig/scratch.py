"""
A folder for a test's machines and images, whatever they leave running for a moment.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import wait_until


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A new folder with ``name`` in its own, gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix=f"docxy-{name}-", dir="/tmp"))  # podman wants short paths
    try:
        yield made
    finally:

        def gone() -> bool:
            shutil.rmtree(made, ignore_errors=True)
            return not made.exists()

        wait_until(gone, f"{made} to go; what podman leaves behind ends a little later")
