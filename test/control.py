"""A client of estd's control socket that shares no code with it: CBOR by hand, after docs/control.cddl.

    control.py SOCKET ask HEX                 sends the octets, ends its side, prints each reply as a line
    control.py SOCKET hold N                  N connections that say nothing, until stdin ends; prints "held"
    control.py SOCKET flood N                 asks for N lists without reading; prints "held" and waits for stdin to end
    control.py SOCKET mute                    watches without reading, prints "held"; when stdin ends, reads and prints,
                                              until it is killed
    control.py SOCKET time N                  N pings, one connection each; prints the median and the longest, in ms
    control.py SOCKET fuzz SEED N             N connections with random octets and damaged requests
    control.py SOCKET datagrams               receives what is sent there (sd_notify), prints each as a line
"""
import socket
import sys
import time

PING = bytes([0x82, 0x64]) + b"ping" + bytes([0xA0])
STATUS = bytes([0x82, 0x66]) + b"status" + bytes([0xA0])
WATCH = bytes([0x82, 0x65]) + b"watch" + bytes([0xA0])
RENEW = bytes([0x82, 0x65]) + b"renew" + bytes([0xA1, 0x64]) + b"name" + bytes([0x64]) + b"none"


class Cut(Exception):
    pass


def read_item(data, at):
    """One data item of RFC 8949, of the kinds that the CDDL allows."""
    if at >= len(data):
        raise Cut
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if info not in (20, 21):
            raise ValueError("simple value %d at %d" % (info, at))
        return info == 21, at
    if info >= 28:
        raise ValueError("indefinite length at %d" % at)
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    if at + size > len(data):
        raise Cut
    number = int.from_bytes(data[at : at + size], "big") if size else info
    at += size
    if major == 0:
        return number, at
    if major in (2, 3):
        if at + number > len(data):
            raise Cut
        octets = data[at : at + number]
        return (octets.decode("utf-8") if major == 3 else octets.hex()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = read_item(data, at)
            items.append(item)
        return items, at
    if major == 5:
        items = {}
        for _ in range(number):
            key, at = read_item(data, at)
            if key in items:
                raise ValueError("key %r twice" % key)
            items[key], at = read_item(data, at)
        return items, at
    raise ValueError("major type %d at %d" % (major, at))


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)  # with a time limit it would fail where the queue is full, instead of waiting
    s.settimeout(20)
    return s


def replies(s):
    """All until the other side ends."""
    data = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            piece = b""
        data += piece
        while data:
            try:
                item, at = read_item(data, 0)
            except Cut:
                break
            data = data[at:]
            yield item
        if not piece:
            if data:
                raise ValueError("%d octets behind the last reply" % len(data))
            return


def line(item):
    what, details = item
    return " ".join([what] + ["%s=%s" % (k, v) for k, v in sorted(details.items())])


def held():
    print("held", flush=True)
    sys.stdin.read()


def ask(path, octets):
    s = connect(path)
    s.sendall(bytes.fromhex(octets))
    s.shutdown(socket.SHUT_WR)
    for item in replies(s):
        print(line(item), flush=True)


def hold(path, n):
    kept = [connect(path) for _ in range(int(n))]
    held()
    return kept


def flood(path, n):
    s = connect(path)
    s.setblocking(False)
    wanted = STATUS * int(n)
    try:
        while wanted:
            wanted = wanted[s.send(wanted) :]
    except BlockingIOError:
        pass
    held()


def mute(path):
    s = connect(path)
    s.sendall(WATCH)
    time.sleep(0.1)
    held()
    s.settimeout(None)
    for item in replies(s):
        print(line(item), flush=True)


def measure(path, n):
    took = []
    for _ in range(int(n)):
        begin = time.monotonic()
        s = connect(path)
        s.sendall(PING)
        if next(replies(s))[0] != "done":
            raise ValueError("no done")
        took.append((time.monotonic() - begin) * 1000)
        s.close()
    took.sort()
    print("%d %d" % (took[len(took) // 2], took[-1]))


class Dice:
    """Xorshift: the same everywhere, and random is in no minimal Python."""

    def __init__(self, seed):
        self.state = seed * 2654435761 % (1 << 32) or 1

    def roll(self, n):
        self.state ^= self.state << 13 & 0xFFFFFFFF
        self.state ^= self.state >> 17
        self.state ^= self.state << 5 & 0xFFFFFFFF
        return self.state % n


def nonsense(dice):
    """Random octets, or a request of which one octet is another, or the end is missing."""
    if dice.roll(3) == 0:
        return bytes(dice.roll(256) for _ in range(dice.roll(3000)))
    data = bytearray((PING, STATUS, WATCH, RENEW)[dice.roll(4)])
    if dice.roll(2) == 0:
        data[dice.roll(len(data))] = dice.roll(256)
    return bytes(data[: 1 + dice.roll(len(data))])


def fuzz(path, seed, n):
    dice = Dice(int(seed))
    for _ in range(int(n)):
        s = connect(path)
        try:
            s.sendall(nonsense(dice))
            if dice.roll(2) == 0:
                s.shutdown(socket.SHUT_WR)
                for _ in replies(s):
                    pass
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()


def datagrams(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    print("listening", flush=True)
    while True:
        print(s.recv(4096).decode("utf-8").replace("\n", " "), flush=True)


if __name__ == "__main__":
    verbs = {"ask": ask, "hold": hold, "flood": flood, "mute": mute, "time": measure, "fuzz": fuzz, "datagrams": datagrams}
    verbs[sys.argv[2]](sys.argv[1], *sys.argv[3:])
