"""A datagram socket that takes in, and sends, very many datagrams with one call to the system."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import sys
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

SLOTS: Final = 2_048
SLOT_OCTETS: Final = 2_048 + 64
"""Room for one datagram: 64 more than a power of two, or all would crowd the same lines of the cache."""

_MSG_DONTWAIT: Final = 0x40
_MSG_TRUNC: Final = 0x20
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_DROPS: Final = 8  # in what SO_MEMINFO tells (linux/sock_diag.h)

# struct sockaddr_in6 is the longest, 28 octets; then how much of it counts.
ADDRESS: Final = np.dtype([("name", "V28"), ("octets", "u4")])
# struct mmsghdr and struct iovec of Linux where a pointer has 8 octets.
_MESSAGE: Final = np.dtype(
    {
        "names": ["name", "name_octets", "pieces", "piece_count", "flags", "octets"],
        "formats": ["u8", "u4", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 48, 56],
        "itemsize": 64,
    }
)
_PIECE: Final = np.dtype([("start", "u8"), ("octets", "u8")])


class Mailbox(Protocol):
    """Where datagrams lie side by side after ``receive``, until the next one.

    Shape: the datagram in slot i begins at ``octets[i * SLOT_OCTETS]`` and has ``lengths[i]`` octets; 0
           stands for one that was too long.
    """

    octets: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    def receive(self, timeout_s: float) -> int:
        """Wait for datagrams, take in as many as are there, and say how many."""
        ...

    def addresses(self, slots: NDArray[Any]) -> NDArray[Any]:
        """Who sent these: for ``send``, and for nobody else to look into."""
        ...

    def send(self, datagrams: NDArray[np.uint8], addresses: NDArray[Any]) -> int:
        """Send each row to its address; says how many the system took. Another thread may call it."""
        ...


def mailbox_on(sock: socket.socket) -> Mailbox:
    """The fastest that this machine has. The socket does not block from then on."""
    sock.setblocking(False)
    if sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little":
        return ManyAtOnce(sock)
    return OneByOne(sock)


class ManyAtOnce:
    """By Linux' recvmmsg and sendmmsg, without a line of Python for each."""

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        for call, count in ((self._recvmmsg, 5), (self._sendmmsg, 4)):
            kinds: list[Any] = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
            call.argtypes = kinds[:count]
        self.octets = np.zeros(SLOTS * SLOT_OCTETS, np.uint8)
        self.lengths = np.zeros(SLOTS, np.int64)
        self._names = np.zeros(SLOTS, ADDRESS)
        self._messages, self._pieces = _messages(
            self.octets.ctypes.data, SLOT_OCTETS, 2_048, self._names, SLOTS
        )

    def receive(self, timeout_s: float) -> int:
        taken = self._take()
        if not taken and timeout_s and self._poll.poll(timeout_s * 1000):
            taken = self._take()
        return taken

    def _take(self) -> int:
        self._messages["name_octets"] = 28
        taken = self._recvmmsg(self._fd, self._messages.ctypes.data, SLOTS, _MSG_DONTWAIT, None)
        if taken <= 0:
            return 0
        told = self._messages[:taken]
        self.lengths[:taken] = np.where(told["flags"] & _MSG_TRUNC, 0, told["octets"])
        self._names["octets"][:taken] = told["name_octets"]
        return int(taken)

    def addresses(self, slots: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = self._names[slots]
        return found

    def send(self, datagrams: NDArray[np.uint8], addresses: NDArray[Any]) -> int:
        datagrams = np.ascontiguousarray(datagrams)
        count, octets = datagrams.shape
        messages, pieces = _messages(datagrams.ctypes.data, octets, octets, addresses, count)
        messages["name_octets"] = addresses["octets"]
        done = sent = 0
        while done < count:
            went = self._sendmmsg(
                self._fd, messages.ctypes.data + done * _MESSAGE.itemsize, count - done, _MSG_DONTWAIT
            )
            if went > 0:
                done += went
                sent += went
            elif ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS) and _writable(self._fd):
                continue
            else:
                done += 1  # this one cannot go where it should: on with the next
        del pieces  # it had to live until here
        return sent


class OneByOne:
    """By what every system has."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        self.octets = np.zeros(SLOTS * SLOT_OCTETS, np.uint8)
        self.lengths = np.zeros(SLOTS, np.int64)
        self._names = np.empty(SLOTS, object)
        memory = memoryview(self.octets.data)
        self._slots = [memory[slot * SLOT_OCTETS : (slot + 1) * SLOT_OCTETS] for slot in range(SLOTS)]

    def receive(self, timeout_s: float) -> int:
        taken = self._take()
        if not taken and timeout_s and self._poll.poll(timeout_s * 1000):
            taken = self._take()
        return taken

    def _take(self) -> int:
        for slot in range(SLOTS):
            try:
                octets, self._names[slot] = self._sock.recvfrom_into(self._slots[slot])
            except OSError:
                return slot
            self.lengths[slot] = octets if octets <= 2_048 else 0
        return SLOTS

    def addresses(self, slots: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = self._names[slots]
        return found

    def send(self, datagrams: NDArray[np.uint8], addresses: NDArray[Any]) -> int:
        sent = 0
        for row, address in zip(datagrams, addresses.tolist(), strict=True):
            try:
                self._sock.sendto(row.tobytes(), address)
                sent += 1
            except BlockingIOError:
                if not _writable(self._sock.fileno()):
                    break
            except OSError:
                continue
        return sent


def widened(sock: socket.socket, octets: int) -> int:
    """Give the socket a receive buffer as near to ``octets`` as we may, and say how large it is."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        if option == _SO_RCVBUFFORCE and sys.platform != "linux":
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, octets)
            break
        except OSError:  # not ours to force; or, elsewhere, more than is allowed
            continue
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def dropped_by_kernel(sock: socket.socket) -> int:
    """Datagrams that found no room so far, modulo 2^32; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS + 1))
    except OSError:
        return 0
    return int(struct.unpack(f"={len(told) // 4}I", told)[_DROPS]) if len(told) > 4 * _DROPS else 0


def _messages(
    start: int, step: int, octets: int, names: NDArray[Any], count: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """``count`` messages of one piece each, ``step`` apart."""
    pieces = np.zeros(count, _PIECE)
    pieces["start"] = start + np.arange(count) * step
    pieces["octets"] = octets
    messages = np.zeros(count, _MESSAGE)
    messages["name"] = names.ctypes.data + np.arange(count) * ADDRESS.itemsize
    messages["pieces"] = pieces.ctypes.data + np.arange(count) * _PIECE.itemsize
    messages["piece_count"] = 1
    return messages, pieces


def _writable(fd: int) -> bool:
    """Whether there is room to send again soon."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(100))
