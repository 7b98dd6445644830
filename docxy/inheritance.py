"""
What a successor gets from the process that started it, and what the two say to each other.

Knows nothing of how a successor is started: `docxy.handover` does.

The successor finds in its environment who started it and which descriptor is
which listener.  It starts as ever, but takes those sockets instead of opening
its own, and accepts nothing yet.  Once its reactor runs it says so, through a
pipe, and waits for one word through another:

``go``
    It serves.  The old process accepts nothing more, drains, and ends: the end of the pipe tells of that.
``no``
    It is no longer wanted (it took too long, or the old one was told to end): it ends.
nothing, and the end of the pipe
    The old process is gone: it serves.

A socket that two processes share belongs to both: it may be closed, but never
be shut down, and a UNIX socket's file is not to be removed while the other serves.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from docxy.pidfile import keep_pidfile
from docxy.tls.endpoints import Malformed, parse_description
from docxy.tls.sockets import Heir

VARIABLE = "DOCXY_HANDOVER"

# The successor's descriptors, beside the usual three: a pipe each way, the stderr
# that it gets once it serves (before, the old process reads it), and the listeners.
READY, WORD, ERRORS, FIRST = 3, 4, 5, 6


def release(port: Any) -> None:
    """Accept nothing more on ``port``, whose socket is another process's too."""
    port.stopReading()
    # Not stopListening: it shuts the socket down, and removes a UNIX socket's file.
    port.socket.close()


class Inheritance:
    """What a process got from the one that started it: nothing, if that was no docxy."""

    def __init__(self, listening: Iterable[tuple[str, int]] = (), handed: bool = False) -> None:
        self.handed = handed
        self._listening = list(listening)
        self._draining: Deferred[None] | None = None

    def reactor(self, reactor: Any, description: str) -> Any:
        """With which to open the listener ``description``: it listens on what was inherited for it."""
        fileno = self.take(description)
        return reactor if fileno is None else Heir(reactor, fileno)

    def take(self, description: str) -> int | None:
        """The open socket of that listener, or of one at the same address; None: there is none."""
        for same in (str, place):
            for found in self._listening:
                if same(found[0]) == same(description):
                    self._listening.remove(found)
                    return found[1]
        return None

    def close_rest(self) -> None:
        """Close what nobody took."""
        while self._listening:
            os.close(self._listening.pop()[1])

    def report(self, reactor: Any, serve: Callable[[], None], leave: Callable[[], None]) -> None:
        """Say that we are ready; later call ``serve`` or ``leave``, once."""

        def heard(word: bytes) -> None:
            if word == b"no":
                keep_pidfile()
                leave()
            else:
                if word:
                    self._draining = Deferred()
                os.dup2(ERRORS, 2)
                os.close(ERRORS)
                serve()

        with suppress(BrokenPipeError):
            os.write(READY, b"%d\n" % os.getpid())
        os.close(READY)
        reactor.addReader(_Word(reactor, heard, self.wait_no_more))

    def alone(self) -> Deferred[None]:
        """Fires once the process before this one has ended; at once, where there is none that drains."""
        return succeed(None) if self._draining is None else self._draining

    def wait_no_more(self) -> None:
        """It has ended, or need not be waited for."""
        draining, self._draining = self._draining, None
        if draining is not None:
            draining.callback(None)


@implementer(IReadDescriptor)
class _Word:
    """Reads what the old process decides; then, after "go", hears of its end: ``ended`` is called."""

    def __init__(self, reactor: Any, heard: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._next = heard
        self._ended = ended

    def fileno(self) -> int:
        return WORD

    def doRead(self) -> None:  # noqa: N802 Twisted calls it
        word = os.read(WORD, 16)
        if word != b"go":
            self._reactor.removeReader(self)
            os.close(WORD)
        heard, self._next = self._next, lambda _: self._ended()
        heard(word)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends; or so epoll tells that nothing but the end of the pipe is to be read."""
        if select.select([WORD], [], [], 0)[0]:
            self.doRead()

    def logPrefix(self) -> str:  # noqa: N802 Twisted calls it
        return "handover"


def place(description: str) -> tuple[str, ...]:
    """What tells one socket from another: TLS or not, that is no part of it."""
    with suppress(Malformed):
        parsed = parse_description(description)
        port = parsed.arguments.get("port")
        if parsed.kind in ("tcp", "ssl") and port:
            return ("tcp", port, parsed.arguments.get("interface", ""))
    return (description,)


def inherited(environ: MutableMapping[str, str]) -> Inheritance:
    """
    What this process inherits; ``environ`` no longer tells of it then.

    What is not from our parent was meant for another process, and is left alone.
    """
    text = environ.pop(VARIABLE, None)
    if text is None:
        return Inheritance()
    try:
        told = json.loads(text)
        names, parent = [str(name) for name in told["listeners"]], told["from"]
    except (ValueError, TypeError, KeyError):
        return Inheritance()
    fds = (READY, WORD, ERRORS, *range(FIRST, FIRST + len(names)))
    if parent != os.getppid() or not _are_ours(fds):
        return Inheritance()
    for fd in fds:
        os.set_inheritable(fd, False)
    # Until ours is installed it would end us, and our pidfile already stands.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return Inheritance(zip(names, fds[3:], strict=True), True)


def _are_ours(fds: Sequence[int]) -> bool:
    try:
        kinds = [os.fstat(fd).st_mode for fd in fds]
    except OSError:
        return False
    return all(map(stat.S_ISFIFO, kinds[:2])) and all(map(stat.S_ISSOCK, kinds[3:]))
