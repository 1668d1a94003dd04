"""
Link: two network namespaces without a name, and a bad link between them. Needs Linux, root and /dev/net/tun.

    python3 link.py '{"delayMs": 20, "jitterMs": 5, "lossRate": 0.02, "reorderRate": 0.01, "mbit": 20, "seed": 1}'

Says one line of JSON: where the namespaces are ("dialer", "listener", for nsenter --net=), or an "error". Each has one
device, 10.99.0.1 and 10.99.0.2; what goes in at one comes out at the other, later, or never. "address 10.99.0.3" on its
input gives the dialer's device another address. It ends with its input, and everything it made ends with it: nothing
has a name or is kept by anybody else, also when it is killed. Nothing is ever sent anywhere else.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
SIOCSIFMTU = 0x8922
IFF_UP = 0x1
DEVICE = b"link"
LISTENER = "10.99.0.2"
DIALER = "10.99.0.1"
NETMASK = "255.255.255.0"
MTU = 1500

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def configure(request, value):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, request, struct.pack("16s24s", DEVICE, value))


def address(text):
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(text))


def give_address(text):
    configure(SIOCSIFADDR, address(text))
    configure(SIOCSIFNETMASK, address(NETMASK))


def namespace(own_address):
    """A new namespace, in which this process is then, and its device."""
    checked(libc.unshare(CLONE_NEWNET))
    place = os.open("/proc/self/ns/net", os.O_RDONLY)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE, IFF_TUN_NO_PI))
    give_address(own_address)
    configure(SIOCSIFMTU, struct.pack("i", MTU))
    configure(SIOCSIFFLAGS, struct.pack("h", IFF_UP))
    return place, device


class Direction:
    """Holds packets until they have been sent at the link's rate and have travelled its length."""

    def __init__(self, weather, seed, out):
        self.weather = weather
        self.random = random.Random(seed)
        self.out = out
        self.under_way = []
        self.free_at = 0.0
        self.last = 0.0
        self.order = 0

    def take(self, packet, now):
        get = self.weather.get
        queued = max(self.free_at - now, 0.0)
        if queued * 1000 > get("bufferMs", 60) or self.random.random() < get("lossRate", 0):
            return
        self.free_at = now + queued + len(packet) * 8 / (get("mbit", 100) * 1e6)
        delay = get("delayMs", 0) + self.random.random() * get("jitterMs", 0)
        if self.random.random() < get("reorderRate", 0):
            delay += 10
        at = self.free_at + delay / 1000
        if get("inOrder", False):
            at = max(at, self.last)
        self.last = at
        self.order += 1
        heapq.heappush(self.under_way, (at, self.order, packet))

    def deliver(self, now):
        while self.under_way and self.under_way[0][0] <= now:
            packet = heapq.heappop(self.under_way)[2]
            try:
                os.write(self.out, packet)
            except OSError:
                pass  # As any may, it is lost.

    def due(self):
        return self.under_way[0][0] if self.under_way else float("inf")


def forward(weather, dialer, listener, there):
    seed = weather.get("seed", 1)
    ways = {
        dialer: Direction(weather, seed, listener),
        listener: Direction(weather, seed + 1, dialer),
    }
    poll = select.epoll()
    for each in (0, dialer, listener):
        poll.register(each, select.EPOLLIN)
    while True:
        wait = min(way.due() for way in ways.values()) - time.monotonic()
        for ready, _ in poll.poll(None if wait == float("inf") else max(wait, 0)):
            if ready == 0:
                words = os.read(0, 4096).split()
                if not words:
                    return
                checked(libc.setns(there, CLONE_NEWNET))
                give_address(words[-1].decode())
                continue
            try:
                while True:
                    ways[ready].take(os.read(ready, 65536), time.monotonic())
            except BlockingIOError:
                pass
        for way in ways.values():
            way.deliver(time.monotonic())


def main():
    try:
        there, dialer = namespace(DIALER)
        here, listener = namespace(LISTENER)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    paths = {"dialer": f"/proc/{os.getpid()}/fd/{there}", "listener": f"/proc/{os.getpid()}/fd/{here}"}
    print(json.dumps(paths), flush=True)
    forward(json.loads(sys.argv[1]), dialer, listener, there)


main()
