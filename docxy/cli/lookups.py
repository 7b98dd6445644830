"""
How names are looked up by a command that has to end in time.

Owns nothing of the answers: the system's resolver gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from twisted.internet._resolver import GAIResolver
from twisted.python.threadpool import ThreadPool

from docxy.acme.thread import in_thread


def look_up_apart(reactor: Any) -> None:
    """
    Have ``reactor`` look names up in threads that the process's end does not wait for.

    It waits for those of the reactor's pool, for as long as a resolver is silent.
    """
    pool = cast("ThreadPool", OwnThreads(reactor))
    reactor.installNameResolver(GAIResolver(reactor, lambda: pool))


@dataclass(frozen=True, slots=True)
class OwnThreads:
    """In the place of ``reactor``'s pool: a thread for each piece of work."""

    reactor: Any

    def callInThreadWithCallback(  # noqa: N802 Twisted calls it
        self, told: Callable[[bool, object], None], work: Callable[..., object], *arguments: object
    ) -> None:
        """Do ``work``, and have ``told`` whether it succeeded and what it gave."""
        done = in_thread(self.reactor, partial(work, *arguments))
        done.addCallbacks(partial(told, True), partial(told, False))
