"""
Every connection that is tried from a namespace, as its interfaces see it.

Owns one packet socket and the thread that reads it.  Knows IP, TCP and UDP by
as much as it takes to tell who was called.
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType

from .namespace import Namespace

_ALL = 0x0003
_SYN, _ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Call:
    """A connection that was tried, or a datagram that was sent."""

    protocol: str
    address: str
    port: int


def _transport(packet: bytes) -> tuple[int, str, bytes] | None:
    """Protocol number, destination and what the IP packet carries."""
    if packet[0] >> 4 == 4:
        start = (packet[0] & 15) * 4
        return packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[start:]
    if packet[0] >> 4 == 6:
        return packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    return None


def call(packet: bytes) -> Call | None:
    """The call that a packet makes, if it makes one."""
    found = _transport(packet) if len(packet) >= 20 else None
    if found is None or (len(found[2]) < 14 and found[0] == socket.IPPROTO_TCP):
        return None
    number, address, segment = found
    if number == socket.IPPROTO_TCP and segment[13] & (_SYN | _ACK) == _SYN:
        return Call("tcp", address, struct.unpack("!H", segment[2:4])[0])
    if number == socket.IPPROTO_UDP and len(segment) >= 4:
        return Call("udp", address, struct.unpack("!H", segment[2:4])[0])
    return None


class Recorder:
    """Notes every call from a namespace while it is entered, on whatever interface."""

    def __init__(self, namespace: Namespace) -> None:
        self.calls: set[Call] = set()
        self._socket = namespace.inside(
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        )
        self._socket.settimeout(0.2)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                packet, (_, _, kind, *_) = self._socket.recvfrom(128)
            except TimeoutError:
                continue
            made = call(packet) if kind == socket.PACKET_OUTGOING else None
            if made is not None:
                self.calls.add(made)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()
