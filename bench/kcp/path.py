"""
Path: two network namespaces with a bad path between them, for the system's own TCP and for real sockets.

    path.py SEED LOSS MIN_MS MAX_MS LISTENER... -- DIALER...

Runs LISTENER in one namespace, at 10.77.0.2, and once it has said a line DIALER in the other, whose output is ours.
Between them is this process, with a TUN device to each: it drops packets at random and holds each one back
for MIN_MS to MAX_MS, in order. Needs root on Linux; leaves nothing behind.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x1001
MOST_BYTES = 65536
LONGEST_S = 100


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_WITHOUT_HEADER))
    return device


def namespace(name, device, address, other):
    run("ip", "netns", "add", name)
    run("ip", "link", "set", device, "netns", name)
    inside = ("ip", "netns", "exec", name)
    run(*inside, "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "link", "set", device, "up")
    run(*inside, "ip", "address", "add", address, "peer", other, "dev", device)


def carry(devices, seed, loss, least, most, ended):
    """Moves packets until the dialer has ended."""
    chance = random.Random(seed)
    waiting = []
    last = [0.0, 0.0]
    number = 0
    until = time.monotonic() + LONGEST_S
    while ended.poll() is None and time.monotonic() < until:
        wait = 0.05 if not waiting else max(waiting[0][0] - time.monotonic(), 0)
        readable, _, _ = select.select(devices, [], [], min(wait, 0.05))
        now = time.monotonic()
        for device in readable:
            side = devices.index(device)
            try:
                packet = os.read(device, MOST_BYTES)
            except BlockingIOError:
                continue
            if chance.random() < loss:
                continue
            last[side] = max(last[side], now + chance.uniform(least, most) / 1000)
            number += 1
            heapq.heappush(waiting, (last[side], number, 1 - side, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, side, packet = heapq.heappop(waiting)
            try:
                os.write(devices[side], packet)
            except OSError:
                pass


def main():
    seed, loss, least, most = (float(each) for each in sys.argv[1:5])
    split = sys.argv.index("--")
    own = os.getpid()
    names = [f"bench-{own}-a", f"bench-{own}-b"]
    links = [f"tn{own % 100000}a", f"tn{own % 100000}b"]
    children = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        devices = [tun(link) for link in links]
        namespace(names[0], links[0], "10.77.0.1", "10.77.0.2")
        namespace(names[1], links[1], "10.77.0.2", "10.77.0.1")
        listener = subprocess.Popen(
            ["ip", "netns", "exec", names[1], *sys.argv[5:split]], stdout=subprocess.PIPE
        )
        children.append(listener)
        if listener.stdout.readline() == b"":
            sys.exit("the listener ended")
        dialer = subprocess.Popen(["ip", "netns", "exec", names[0], *sys.argv[split + 1 :]])
        children.append(dialer)
        carry(devices, seed, loss, least, most, dialer)
        sys.exit(1 if dialer.poll() is None else dialer.returncode)
    finally:
        for child in children:
            child.kill()
            child.wait()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)


main()
