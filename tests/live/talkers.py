# SPDX-License-Identifier: GPL-2.0-only
"""Ends of healthy conversations, each a process of its own: talkers.py NAME ROLE JSON-ARGUMENTS.

A role is a generator: up to its `yield` it gets ready (servers listen, clients may connect), and what it yields is
printed as a line of JSON; a line on stdin lets it go on, and what it returns is the last line. A server is told to stop by
a signal.
"""
import array
import concurrent.futures
import fcntl
import http.client
import json
import pathlib
import select
import socket
import ssl
import sys
import termios
import threading
import time

CLOSE_WAIT = 8
LIMIT_S = 60  # for one answer, however much is lost


def now():
    return time.monotonic()


def connect(addr, port):
    return socket.create_connection((addr, port), LIMIT_S)


def each(function, things):
    """Does it to all of them at the same time; the sum of what it returns."""
    with concurrent.futures.ThreadPoolExecutor(len(things)) as pool:
        return sum(pool.map(function, things))


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError(f"{len(data)} bytes came instead of {count}")
        data += more
    return data


def read_head(sock):
    """What comes up to an empty line; nothing if the other end closed."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)  # not a byte of what follows
        if not byte:
            return ""
        data += byte
    return data.decode()


def hang_up(sock):
    """Closes as one should: with nothing unread, and not before the other end has seen it."""
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass
    sock.close()
    return 1


# ---------------------------------------------------------------- servers


def serve(addr, port, handle):
    """Every connection is handled in a thread."""
    listener = socket.create_server((addr, port), backlog=128)

    def handle_one(conn):
        with conn:
            handle(conn)

    def accept():
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=handle_one, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield {}
    threading.Event().wait()


def push_server(addr, port):
    """WebSocket-like: after the upgrade it speaks every second; it hears little."""
    def handle(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        while True:
            heard = conn.recv(100) if select.select([conn], [], [], 1.0)[0] else None
            if heard == b"":
                return
            if heard is None:
                conn.sendall(b"\x81\x28" + b"n" * 40)
    return serve(addr, port, handle)


def poll_server(addr, port):
    """Long polls: an answer comes when there is news, after as many seconds as the path says."""
    def handle(conn):
        while head := read_head(conn):
            time.sleep(float(head.split()[1].rpartition("=")[2]))
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")
    return serve(addr, port, handle)


def shell_server(addr, port):
    """SSH-like: speaks first, and answers each line."""
    def handle(conn):
        keep_alive(conn)
        conn.sendall(b"SSH-2.0-healthy\r\n" + b"k" * 83)
        while conn.recv(4096):
            conn.sendall(b"o" * 100)
    return serve(addr, port, handle)


def file_server(addr, port, send_buffer):
    """Sends as many bytes as it is asked for and closes at once."""
    def handle(conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        conn.sendall(b"x" * int(conn.recv(100)))
    return serve(addr, port, handle)


def log_server(addr, port):
    """Syslog-like: never says a byte."""
    def handle(conn):
        while conn.recv(4096):
            pass
    return serve(addr, port, handle)


def tls_server(addr, port, certificate, key):
    """Answers once, and closes soon after, as servers do with idle connections: close_notify and FIN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def handle(conn):
        with context.wrap_socket(conn, server_side=True) as channel:
            channel.recv(100)
            channel.sendall(b"r" * 200)
            time.sleep(1)
            channel.setblocking(False)
            try:
                channel.unwrap()
            except ssl.SSLWantReadError:  # it was sent; the client's own is not waited for
                pass
    return serve(addr, port, handle)


# ---------------------------------------------------------------- clients


def push_client(addr, port, seconds):
    """Half of them are there before the trace."""
    def join():
        sock = connect(addr, port)
        sock.sendall(b"GET /news HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
        read_head(sock)
        return sock

    def listen(sock):
        end, speak, frames = now() + seconds, now() + 10, 0
        while now() < end:
            if select.select([sock], [], [], 0.5)[0]:
                read_exactly(sock, 42)
                frames += 1
            if now() > speak:
                sock.sendall(b"\x81\x02hi")
                speak += 10
        hang_up(sock)
        return frames

    members = [join(), join()]
    yield {}
    return {"frames": each(listen, members + [join(), join()])}


def poll_client(addr, port, waits):
    """For each list in `waits` one client, which polls again and again."""
    def poll(times):
        connection = http.client.HTTPConnection(addr, port, timeout=LIMIT_S)
        for wait in times:
            get(connection, f"/poll?wait={wait}")
        hang_up(connection.sock)
        return len(times)

    yield {}
    return {"polls": each(poll, waits)}


def keep_alive(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)


def shell_client(addr, port, seconds):
    """Logs in, types a little, then idles; types once more at the end. Half of them log in before the trace."""
    def log_in():
        sock = connect(addr, port)
        keep_alive(sock)
        read_exactly(sock, 100)
        for _ in range(3):
            type_line(sock)
        return sock

    def type_line(sock):
        sock.sendall(b"l" * 40)
        read_exactly(sock, 100)
        return 1

    sessions = [log_in() for _ in range(3)]
    yield {}
    sessions += [log_in() for _ in range(3)]
    time.sleep(seconds)
    return {"answers": each(type_line, sessions), "sessions": each(hang_up, sessions)}


def reader(addr, port, rate, count, receive_buffer):
    """Reads `count` bytes, `rate` a second, without a stop."""
    sock = socket.socket()
    sock.settimeout(LIMIT_S)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect((addr, port))
    yield {}
    sock.sendall(b"%d" % count)
    got, start = 0, now()
    while True:
        due = int((now() - start) * rate) - got
        if due < rate // 50:
            time.sleep(0.02)
            continue
        data = sock.recv(due)
        if not data:
            break
        got += len(data)
    sock.close()
    return {"bytes": got, "seconds": round(now() - start, 1)}


def log_client(addr, port, seconds):
    """Three senders; one of them began before the trace. None of them ever hears a byte."""
    def send(sock):
        end, lines = now() + seconds, 0
        while now() + 3 < end:
            sock.sendall(b"<13>healthy: all is well\n")
            lines += 1
            time.sleep(3)
        hang_up(sock)
        return lines

    old = connect(addr, port)
    old.sendall(b"<13>healthy: began\n" * 3)
    yield {}
    return {"lines": each(send, [old, connect(addr, port), connect(addr, port)])}


def tls_client(addr, port, seconds):
    """A pool whose server has closed: nobody looks at it before it is dropped. Half of it is older than the trace."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask():
        channel = context.wrap_socket(connect(addr, port))
        channel.sendall(b"GET /\r\n\r\n")
        got = 0
        while got < 200:
            got += len(channel.recv(200 - got))
        return channel

    def unread(channel):
        waiting = array.array("i", [0])
        fcntl.ioctl(channel.fileno(), termios.FIONREAD, waiting)
        return waiting[0]

    def in_close_wait(channel):
        return channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSE_WAIT

    pool = [ask(), ask()]
    time.sleep(1.5)  # until their server has closed them
    yield {}
    pool += [ask(), ask()]
    time.sleep(seconds)
    done = {"close_wait": sum(map(in_close_wait, pool)), "with_unread": sum(unread(channel) > 0 for channel in pool)}
    for channel in pool:
        channel.close()
    return done


def get(connection, path):
    connection.request("GET", path)
    return len(connection.getresponse().read()) > 0


def browser(addr, port, seconds):
    """Six connections that stay open after their reply; two of them are used again at the end."""
    def page(connection):
        return get(connection, "/page")

    def opened():
        return [http.client.HTTPConnection(addr, port, timeout=LIMIT_S) for _ in range(3)]

    pool = opened()
    replies = each(page, pool)
    yield {}
    fresh = opened()
    replies += each(page, fresh)
    time.sleep(seconds)
    replies += each(page, [pool[0], fresh[0]])
    return {"replies": replies, "closed": each(lambda connection: hang_up(connection.sock), pool + fresh)}


def main():
    name, role, arguments = sys.argv[1:]
    pathlib.Path("/proc/self/comm").write_text(name)
    acts = globals()[role](**json.loads(arguments))
    print(json.dumps(next(acts)), flush=True)
    sys.stdin.readline()
    try:
        next(acts)
    except StopIteration as end:
        print(json.dumps(end.value), flush=True)


if __name__ == "__main__":
    main()
