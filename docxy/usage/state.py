"""
A small JSON file that two processes may change by turns, and that is whole at every moment.

Knows nothing of what is in it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress

MAX_STATE = 1 << 20  # bytes

Change = Callable[[object], object]
"""Makes the new content of the old one, which is None where there is none, or none of ours."""


def change(path: str, made: Change, *, wait: bool = False) -> None:
    """
    Replace the file's content by what ``made`` makes of it; with mode 640.

    Raises `OSError`: also where another process is at it just now, unless it is to ``wait`` for that.
    """
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        text = json.dumps(made(_read(path))).encode("ascii")
        _replace(path, text + b"\n")
    finally:
        os.close(folder)


def _read(path: str) -> object:
    with suppress(FileNotFoundError, ValueError, RecursionError), open(path, "rb") as file:
        return json.loads(file.read(MAX_STATE))
    return None


def _replace(path: str, content: bytes) -> None:
    new = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(new)  # of a process that was killed
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640), "wb") as file:
        file.write(content)
    os.replace(new, path)
