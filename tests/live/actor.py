# SPDX-License-Identifier: GPL-2.0-only
"""A process that listens or connects as its parent tells it, line by line on stdin; answers on stdout.

    listen ADDR -> PORT       connect ADDR PORT -> own PORT    send N        read
    abort: accepts, leaves data unread, closes                 reply: accepts, reads, answers
    await-reset -> errno      linger0: closes with linger 0    close
    accept: and reads nothing                                  fill: sends until nothing more fits
"""
import contextlib
import errno
import pathlib
import select
import socket
import struct
import subprocess
import sys


class Actor:
    """The parent's side."""

    def __init__(self, comm, netns_of=None):
        # In a namespace of its own, or in that of another actor.
        enter = ["nsenter", "--net=/proc/%d/ns/net" % netns_of.pid] if netns_of else ["unshare", "--net"]
        script = "ip link set lo up; exec /usr/bin/python3 -u \"$0\" \"$1\""
        self._process = subprocess.Popen([*enter, "sh", "-c", script, __file__, comm], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)
        self.comm = comm
        self.pid, self.netns = map(int, self._process.stdout.readline().split())

    def tell(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")

    def hear(self):
        ready, _, _ = select.select([self._process.stdout], [], [], 20)
        assert ready, f"{self.comm} does not answer"
        return self._process.stdout.readline().strip()

    def do(self, *words):
        self.tell(*words)
        return self.hear()

    def end(self):
        self._process.stdin.close()
        self._process.wait(10)


def reset_incident(server, client, addr, port):
    """The server closes with unread data while the client is owed a reply. Returns the client's port."""
    own = int(client.do("connect", addr, port))
    client.do("send", 2000)
    server.do("abort")
    assert client.do("await-reset") == "ECONNRESET"
    return own


def idle_reset(server, client, addr, port):
    """The client aborts with nothing outstanding: worth knowing, no more."""
    own = int(client.do("connect", addr, port))
    client.do("send", 100)
    server.do("reply")
    client.do("read")
    client.do("linger0")
    return own


class Stage:
    def __init__(self):
        self.listener = None
        self.sock = None

    def listen(self, addr):
        family = socket.AF_INET6 if ":" in addr else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.bind((addr, 0))
        self.listener.listen(16)
        return self.listener.getsockname()[1]

    def connect(self, addr, port):
        family = socket.AF_INET6 if ":" in addr else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.suppress(OSError):  # another host's address
            self.sock.bind((addr, 0))
        self.sock.connect((addr, int(port)))
        return self.sock.getsockname()[1]

    def send(self, count):
        self.sock.sendall(b"x" * int(count))
        return "ok"

    def accept(self):
        self.sock, _ = self.listener.accept()
        return "ok"

    def fill(self):
        self.sock.settimeout(0.5)
        sent = 0
        try:
            while True:
                sent += self.sock.send(b"x" * 65536)
        except TimeoutError:
            return sent

    def abort(self):
        conn, _ = self.listener.accept()
        conn.recv(2000, socket.MSG_PEEK | socket.MSG_WAITALL)
        conn.close()
        return "ok"

    def await_reset(self):
        try:
            self.sock.recv(1)
            return "none"
        except OSError as error:
            return errno.errorcode[error.errno]
        finally:
            self.sock.close()

    def reply(self):
        conn, _ = self.listener.accept()
        conn.recv(100, socket.MSG_WAITALL)
        conn.sendall(b"y" * 50)
        self.sock = conn
        return "ok"

    def read(self):
        self.sock.recv(50, socket.MSG_WAITALL)
        return "ok"

    def linger0(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        return "ok"

    def close(self):
        self.sock.close()
        return "ok"


def main():
    import os
    pathlib.Path("/proc/self/comm").write_text(sys.argv[1])
    print(os.getpid(), os.stat("/proc/self/ns/net").st_ino, flush=True)
    stage = Stage()
    for line in sys.stdin:
        command, *words = line.split()
        print(getattr(stage, command.replace("-", "_"))(*words), flush=True)


if __name__ == "__main__":
    main()
