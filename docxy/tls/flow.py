"""
How freely bytes pass through a connection, and so how much of them may be taken at once.

Large pieces cost less time each byte and more memory each connection, for
OpenSSL's buffers never shrink.  A slow client takes much at first too, as much
as the kernels at both ends will hold; so only who took more than that without
a long pause is given large pieces, and only for as long.  An upstream waits for
a slow client, so that it is judged by the same rule.

Owns the figures and the rule.  Knows nothing of TLS or of transports; the time
is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

TRUSTED_AFTER = 16 << 20  # bytes without a long pause: more than the kernels hold of one connection
LONG_PAUSE = 0.1  # seconds; who takes `FLOWING.backlog` in less takes 2.5 MB a second or more


@dataclass(frozen=True, slots=True)
class Portions:
    """
    Bytes at once: ``read`` from the socket, ``piece`` encrypted.

    More than ``backlog`` bytes unsent pause the source.
    """

    read: int
    piece: int
    backlog: int


# One record a piece, and a backlog that one read from upstream fills: its source is paused for each,
# which costs time, but a thousand slow clients hold a third of what they would.
CAREFUL = Portions(read=32 * 1024, piece=16 * 1024, backlog=32 * 1024)
FLOWING = Portions(read=64 * 1024, piece=64 * 1024, backlog=256 * 1024)


class Flow:
    """Judges one connection by what passes through it and by how long that is paused."""

    def __init__(self) -> None:
        self._unhindered = 0
        self._paused_at: float | None = None

    @property
    def portions(self) -> Portions:
        """What may be taken at once now."""
        return FLOWING if self._unhindered >= TRUSTED_AFTER else CAREFUL

    def passed(self, size: int) -> None:
        """So many bytes came or went."""
        self._unhindered += size

    def paused(self, now: float) -> None:
        """The source, this connection or another, has to wait, at ``now`` seconds."""
        self._paused_at = now

    def resumed(self, now: float) -> None:
        """It need not wait any more."""
        if self._paused_at is not None and now - self._paused_at > LONG_PAUSE:
            self._unhindered = 0
        self._paused_at = None
