"""A cable as long as it is told to be: `python3 cable.py HERE THERE MILLISECONDS`.

Makes two network interfaces and carries every frame from one to the other after that time, as a path across half the world
would. Prints a line once both exist and ends with its standard input, or with one of them. Takes root.
"""

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

# From linux/if_tun.h: Ethernet frames, without a header before each. (Browsers connect over no interface that is a tunnel.)
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
FRAME_BYTES_MAX = 65536
# A sender is never faster than its congestion control lets it be; this only bounds what a flood may take.
FRAMES_HELD_MAX = 20_000


def interface(name):
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return end


def carry(here, there, delay_seconds):
    other = {here: there, there: here}
    held = deque()  # (due, end, frame); all wait equally long, so the order is that of arrival
    while True:
        wait = max(0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([here, there, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            return
        for end in readable:
            try:
                frame = os.read(end, FRAME_BYTES_MAX)
            except OSError:
                return  # Its interface was taken away.
            if len(held) < FRAMES_HELD_MAX:
                held.append((time.monotonic() + delay_seconds, other[end], frame))
        while held and held[0][0] <= time.monotonic():
            _, end, frame = held.popleft()
            try:
                os.write(end, frame)
            except OSError:
                pass  # An interface that is down loses what is sent to it, like any other.


def main():
    here, there, milliseconds = sys.argv[1:]
    ends = interface(here), interface(there)
    print("ready", flush=True)
    carry(*ends, float(milliseconds) / 1000)


main()
