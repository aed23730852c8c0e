# SPDX-License-Identifier: GPL-2.0-only
"""Healthy loads on real servers.

Each is a generator, made with its Box: up to its `yield` it makes ready what is there before the trace begins; then it
runs, for box.seconds at most if nothing is lost, and returns what was done, as numbers.
"""
import collections
import glob
import json
import re
import signal
import subprocess
import time

from servers import READY_LIMIT_S

FULL_S = 62  # a finding that waits for a minute has time to be told
# `least`: what must have been done in that time for the load to count as one; `least_lossy` where loss makes it less.
# `busy`: so many packets that 2% of them are some.
Load = collections.namedtuple("Load", "play least least_lossy busy box", defaults=({}, False, {}))


def found(pattern, text):
    match = re.search(pattern, text)
    assert match, f"no {pattern!r} in\n{text}"
    return int(match.group(1))


# ---------------------------------------------------------------- nginx

NGINX = """
daemon off;
user nobody nogroup;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  keepalive_timeout 600;
  {temporary}
  server {{ listen {addr}:{port}; root {folder}/www; }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def serve_nginx(box):
    port = box.port()
    temporary = " ".join(f"{kind}_temp_path {box.folder}/{kind};" for kind in TEMPORARY)
    config = box.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=box.folder, addr=box.addr, port=port, temporary=temporary))
    (box.folder / "www").mkdir()
    (box.folder / "www" / "page").write_text("p" * 10_000)
    box.start_server("nginx", "-p", box.folder, "-e", box.folder / "nginx-error.log", "-c", config, port=port)
    return port


def ab(box, port, requests, *options):
    told = box.run("ab", "-q", "-s", 30, "-n", requests, "-c", 16, *options, f"http://{box.addr}:{port}/page")
    assert found(r"Failed requests: +(\d+)", told) == 0, told
    return found(r"Complete requests: +(\d+)", told)


def nginx_ab(box):
    """Many short connections, then few long ones."""
    port = serve_nginx(box)
    yield
    short = ab(box, port, 1200 if box.lossy else 4000)
    return {"short": short, "kept_alive": ab(box, port, 4000 if box.lossy else 20_000, "-k")}


def nginx_wrk(box):
    """wrk ends in the middle of its requests."""
    port = serve_nginx(box)
    yield
    box.wait_until(0.15)
    told = box.run("wrk", "-t", 1, "-c", 8, "-d", "3s", "--timeout", "20s", f"http://{box.addr}:{port}/page")
    return {"requests": found(r"(\d+) requests in", told)}


def nginx_pool(box):
    """A browser's connections, idle after their replies."""
    return talk(box, "browser", addr=box.addr, port=serve_nginx(box), seconds=box.seconds - 1)


# ---------------------------------------------------------------- PostgreSQL

POSTGRES = {"fsync": "off", "unix_socket_directories": "", "max_connections": 40, "shared_buffers": "32MB"}
ASK = "select 'alive';\n"


def serve_postgres(box):
    bin_folder = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    data, port = box.folder / "data", box.port()
    data.mkdir(mode=0o700)
    box.run("chown", "postgres:", data)
    box.run(f"{bin_folder}/initdb", "-D", data, "-A", "trust", "--no-sync", "--locale=C", end=0, user="postgres")
    options = {**POSTGRES, "port": port, "listen_addresses": box.addr}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    box.start_server(f"{bin_folder}/postgres", "-D", data, *settings, port=port, user="postgres", stop=signal.SIGINT)
    return bin_folder, ["-h", box.addr, "-p", port, "-U", "postgres"]


class Psql:
    """A connection of a pool: it asks when it is told to."""

    def __init__(self, box, account):
        self._process = box.start("psql", "-X", "-A", "-t", *account, "postgres", stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)
        self.ask()

    def ask(self):
        self._process.stdin.write(ASK)
        return self._process.stdout.readline() == "alive\n"

    def end(self):
        self._process.stdin.close()
        return self._process.wait(30) == 0


def postgresql(box):
    """pgbench, and pooled connections that do nothing in between; half of them are there before the trace."""
    bin_folder, account = serve_postgres(box)
    box.run(f"{bin_folder}/pgbench", "-i", "-q", "-n", *account, "postgres")
    pool = [Psql(box, account) for _ in range(3)]
    yield
    pool += [Psql(box, account) for _ in range(3)]
    box.wait_until(0.25)
    told = box.run(f"{bin_folder}/pgbench", "-n", "-c", 4, "-T", 10, "-R", 200, *account, "postgres")
    box.wait_until(0.95)
    return {"transactions": found(r"actually processed: (\d+)", told), "asked": sum(psql.ask() for psql in pool),
            "ended": sum(psql.end() for psql in pool)}


# ---------------------------------------------------------------- Redis


def serve_redis(box):
    # One binary under several names; that of the server comes with a package that also starts one.
    port, server = box.port(), box.folder / "redis-server"
    server.symlink_to("/usr/bin/redis-check-rdb")
    box.start_server(server, "--bind", box.addr, "--port", port, "--protected-mode", "no", "--save", "", "--dir", box.folder, port=port)
    return ["-h", box.addr, "-p", port]


def redis_benchmark(box):
    """With pipelining, and without."""
    at = serve_redis(box)
    yield
    box.wait_until(0.45)
    before = commands_of(box, at)
    requests = 20_000 if box.lossy else 100_000
    box.run("redis-benchmark", *at, "-q", "-c", 10, "-n", requests, "-P", 16, "-t", "set,get")
    box.run("redis-benchmark", *at, "-q", "-c", 10, "-n", requests // 10, "-t", "get,lpush")
    return {"commands": commands_of(box, at) - before}


def commands_of(box, at):
    return found(r"total_commands_processed:(\d+)", box.run("redis-cli", *at, "info", "stats"))


def subscribe(box, at, path):
    with open(path, "wb") as heard:
        box.start("redis-cli", *at, "subscribe", "news", stdout=heard)


def redis_pubsub(box):
    """Subscribers hear nothing for a quarter of the time, then something, and again."""
    at = serve_redis(box)
    heard = [box.folder / f"heard-{number}" for number in range(4)]
    for path in heard[:2]:
        subscribe(box, at, path)
    time.sleep(0.5)
    yield
    for path in heard[2:]:
        subscribe(box, at, path)
    reached = 0
    for part in (0.25, 0.5, 0.95):
        box.wait_until(part)
        reached += int(box.run("redis-cli", *at, "publish", "news", "hello"))
    time.sleep(2)
    return {"reached": reached, "heard": sum(path.read_text().count("hello") for path in heard)}


# ---------------------------------------------------------------- bulk


def iperf(box):
    """Both ways, over a link of 100 Mbit/s."""
    port = box.port()
    box.start_server("iperf3", "-s", "-B", box.addr, "-p", port, port=port)
    yield
    box.wait_until(0.6)
    return {"sent": iperf_bytes(box, port), "received": iperf_bytes(box, port, "--reverse")}


def iperf_bytes(box, port, *options):
    told = json.loads(box.run("iperf3", "-c", box.addr, "-p", port, "-t", 5, "-J", *options))
    return told["end"]["sum_received"]["bytes"]


def reading(rate, part, send_buffer, receive_buffer):
    """In this part of the time, without a stop; the server closes when it has put everything into its send buffer."""
    def play(box):
        count = int(rate * part * box.seconds)
        server = box.serve("file_server", send_buffer=send_buffer)
        return talk(box, "reader", **server, rate=rate, count=count, receive_buffer=receive_buffer)
    return play


# ---------------------------------------------------------------- conversations


def talk(box, role, **arguments):
    """The rest of a load whose server is there."""
    client = box.talk(role, **arguments)
    client.hear(READY_LIMIT_S)
    yield
    client.go()
    return client.finish(box)


def talking(server_role, client_role):
    """In nearly all of the box's time."""
    def play(box):
        return talk(box, client_role, **box.serve(server_role), seconds=box.seconds - 1)
    return play


def long_poll(box):
    waits = [[30, 28], [20, 20, 18], [20, 20, 18]] if box.seconds >= FULL_S else [[box.seconds - 3]] * 3
    return talk(box, "poll_client", **box.serve("poll_server"), waits=waits)


def closed_tls_pool(box):
    certificate, key = box.folder / "certificate.pem", box.folder / "key.pem"
    box.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
            "-subj", "/CN=healthy", "-out", certificate, "-keyout", key)
    server = box.serve("tls_server", certificate=str(certificate), key=str(key))
    return talk(box, "tls_client", **server, seconds=box.seconds - 1)


KIB, MB = 1024, 1_000_000
LOADS = {
    "nginx-ab": Load(nginx_ab, {"short": 4000, "kept_alive": 20_000}, {"short": 1200, "kept_alive": 4000}, True,
                     {"lost_handshakes": True}),
    "nginx-wrk": Load(nginx_wrk, {"requests": 3000}, {"requests": 300}, True),
    "nginx-pool": Load(nginx_pool, {"replies": 8, "closed": 6}),
    "postgresql": Load(postgresql, {"transactions": 1000, "asked": 6, "ended": 6}, {"transactions": 100}, True),
    "redis-benchmark": Load(redis_benchmark, {"commands": 220_000}, {"commands": 44_000}, True, {"pair": True}),
    "redis-pubsub": Load(redis_pubsub, {"reached": 12, "heard": 12}),
    "iperf3": Load(iperf, {"sent": 30 * MB, "received": 30 * MB}, {"sent": 3 * MB, "received": 3 * MB}, True,
                   {"pair": True}),
    "push": Load(talking("push_server", "push_client"), {"frames": 180}, {}, False, {"pair": True}),
    "long-poll": Load(long_poll, {"polls": 8}, {}, False, {"pair": True}),
    "ssh-idle": Load(talking("shell_server", "shell_client"), {"answers": 6, "sessions": 6}),
    "reader-1mb": Load(reading(MB, 0.92, 256 * KIB, 0), {"bytes": 56 * MB}, {}, True, {"pair": True}),
    "reader-100kb": Load(reading(MB // 10, 0.9, 64 * KIB, 128 * KIB), {"bytes": 5 * MB}),
    # On loopback its window opens again only when a segment of 64 KiB fits in: after more than 6 s.
    "reader-10kb": Load(reading(MB // 100, 0.9, 64 * KIB, 128 * KIB), {"bytes": MB // 2}),
    "reader-closed": Load(reading(MB // 10, 0.4, 4096 * KIB, 128 * KIB), {"bytes": 2 * MB}),
    "tls-closed-pool": Load(closed_tls_pool, {"close_wait": 4, "with_unread": 4}),
    "syslog": Load(talking("log_server", "log_client"), {"lines": 45}),
}
