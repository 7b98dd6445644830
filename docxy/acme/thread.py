"""
A thread for one piece of work: the library of certificates blocks for minutes.

Owns nothing but the way there and back.  It is no thread of the reactor's
pool, where names are looked up, and the process's end does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

T = TypeVar("T")


def in_thread(reactor: IReactorFromThreads, work: Callable[[], T]) -> Deferred[T]:
    """What ``work`` gives or raises, in a thread of its own; cancelled, nobody hears of its end."""
    done: Deferred[T] = Deferred()

    def run() -> None:
        try:
            found = work()
        except Exception:  # the failure is for whoever waits
            reactor.callFromThread(done.errback, Failure())
        else:
            reactor.callFromThread(done.callback, found)

    Thread(target=run, name="acme", daemon=True).start()
    return done
