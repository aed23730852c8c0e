# SPDX-License-Identifier: GPL-2.0-only
"""Processes of a stall: each prints "ready" and does as its lines of standard input tell it, until that ends.

    reader ADDR PORT        reads all that comes on all connections
    writer ADDR PORT COUNT  writes on COUNT connections, 4 KiB each 20 ms, as long as they take it; "drain": tells when
                            all is acknowledged
    greeter ADDR PORT       accepts, greets, closes; "pause": accepts no more, until "go"
    caller ADDR PORT        connects ten times a second, reads to the end
    crowd ADDR PORT COUNT   "call": COUNT connects at once, kept; tells when all are connected; then
                            reads all to the end, closes them, and tells that
"""
import contextlib
import errno
import fcntl
import pathlib
import select
import socket
import struct
import sys
import termios
import time

TURN_S = 0.02
BACKLOG_OF_FEW = 32  # room for all whose SYN was dropped: they come again at one time
READ_LIMIT_S = 3


def say(*words):
    print(*words, flush=True)


class Commands:
    """Lines of standard input, without waiting for them."""

    def poll(self, seconds=0.0, at_end=lambda: sys.exit(0)):
        """The line that is there, "" without one; as a rule the process ends with its input."""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return ""
        line = sys.stdin.readline()
        if not line:
            at_end()
        return line.strip()


def listen(addr, port, backlog=1024):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((addr, port))
    listener.listen(backlog)
    listener.setblocking(False)
    say("ready")
    return listener


def reader(commands, addr, port):
    """Its end comes when all connections were read to theirs: it leaves nothing unread behind."""
    listener, connections, watched = listen(addr, port), [], [sys.stdin]
    while watched or connections:
        ready, _, _ = select.select([*watched, listener, *connections], [], [])
        if sys.stdin in ready:
            commands.poll(at_end=watched.clear)
        if listener in ready:
            connections.append(listener.accept()[0])
        for connection in set(ready) & set(connections):
            if not connection.recv(1 << 20):
                connections.remove(connection)
                connection.close()


def unacknowledged(connection):
    siocoutq = termios.TIOCOUTQ
    return struct.unpack("i", fcntl.ioctl(connection, siocoutq, bytes(4)))[0]


def writer(commands, addr, port, count):
    connections = [socket.create_connection((addr, port)) for _ in range(count)]
    for connection in connections:
        connection.setblocking(False)
    say("ready")
    data, draining = b"w" * 4096, False
    while True:
        draining |= commands.poll(TURN_S) == "drain"
        if not draining:
            for connection in connections:
                with contextlib.suppress(BlockingIOError):
                    connection.send(data)
        elif not any(map(unacknowledged, connections)):
            say("drained")
            draining = False


def greeter(commands, addr, port):
    listener, accepting = listen(addr, port, BACKLOG_OF_FEW), True
    while True:
        ready, _, _ = select.select([sys.stdin, *([listener] if accepting else [])], [], [])
        if sys.stdin in ready:
            accepting = commands.poll() != "pause"
        if listener in ready:
            connection = listener.accept()[0]
            connection.sendall(b"hello")
            connection.close()


def caller(commands, addr, port):
    say("ready")
    while True:
        with contextlib.suppress(OSError), socket.create_connection((addr, port), 5) as connection:
            while connection.recv(64):
                pass
        commands.poll(0.1)


def start_connect(addr, port):
    connection = socket.socket()
    connection.setblocking(False)
    code = connection.connect_ex((addr, port))
    assert code in (0, errno.EINPROGRESS), errno.errorcode[code]
    return connection


def crowd(commands, addr, port, count):
    say("ready")
    while True:
        if commands.poll(60) != "call":
            continue
        connections = waiting = [start_connect(addr, port) for _ in range(count)]
        while waiting:
            _, connected, _ = select.select([], waiting, [], 1)
            waiting = [one for one in waiting if one not in connected]
        say("connected")
        # Of some the server has given up the request while its queue was full (reqsk_timer_handler() in
        # net/ipv4/inet_connection_sock.c): they are connected in their own eyes alone, and nobody greets them.
        limit = time.monotonic() + READ_LIMIT_S
        for connection in connections:
            connection.settimeout(max(0.01, limit - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                while connection.recv(64):
                    pass
            connection.close()
        say("greeted")


def main():
    role, comm, addr, port, *more = sys.argv[1:]
    pathlib.Path("/proc/self/comm").write_text(comm)
    {"reader": reader, "writer": writer, "greeter": greeter, "caller": caller, "crowd": crowd}[role](
        Commands(), addr, int(port), *map(int, more))


if __name__ == "__main__":
    main()
