# SPDX-License-Identifier: GPL-2.0-only
"""Where a server and its clients run: in network namespaces and with a data folder of their own, gone when it is closed."""
import contextlib
import itertools
import json
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

TALKERS = pathlib.Path(__file__).parent / "talkers.py"
READY_LIMIT_S = 30
OVERTIME_S = 60  # what a load may take beyond its time
PAIR = ("10.77.0.1", "10.77.0.2")
RATE = "100mbit"
LISTEN = "0A"  # in /proc/net/tcp
# Below the ephemeral ones, and one service has one: the tool gathers what it says by address and port.
PORTS = itertools.count(21000)


class Namespace:
    """Lives as long as its `cat` has a stdin."""

    def __init__(self):
        self._holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec cat"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._holder.stdout.readline()
        self.pid = self._holder.pid
        self.enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]
        self.inode = os.stat(f"/proc/{self.pid}/ns/net").st_ino

    def end(self):
        self._holder.stdin.close()
        self._holder.wait(10)

    def do(self, command):
        done = subprocess.run([*self.enter, "sh", "-ec", command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


class Box:
    """One namespace, or two that a veth pair joins: then servers are at [0] and clients at [-1]."""

    def __init__(self, name, seconds, pair=False, lossy=False, lost_handshakes=False):
        self.name, self.seconds, self.lossy = name, seconds, lossy
        # A SYN lost twice is worth a warning, unless many connections show that it was bad luck.
        self._lost = "meta l4proto tcp" if lost_handshakes else "tcp flags & syn == 0"
        self._began = None
        self.namespaces = []
        self.addr = PAIR[0] if pair else "127.0.0.1"
        with contextlib.ExitStack() as stack:
            self._build(stack, pair)
            self._stack = stack.pop_all()

    def _build(self, stack, pair):
        for _ in range(2 if pair else 1):
            self.namespaces.append(namespace := Namespace())
            stack.callback(namespace.end)
        if pair:
            self._join()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"healthy-{self.name}-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)  # servers run as somebody else

    def _join(self):
        one, other = self.namespaces
        one.do(f"ip link add veth0 type veth peer name veth0 netns {other.pid}")
        for namespace, addr in zip(self.namespaces, PAIR):
            namespace.do(f"ip addr add {addr}/24 dev veth0; ip link set veth0 up; "
                         f"tc qdisc add dev veth0 root tbf rate {RATE} burst 64kb latency 50ms")

    @property
    def netns(self):
        return {namespace.inode for namespace in self.namespaces}

    def port(self):
        return next(PORTS)

    def begin(self):
        """From here on the load runs and, if it is to, the network loses 2%."""
        self._began = time.monotonic()
        if self.lossy:
            for namespace in self.namespaces:
                namespace.do("nft add table inet loss; nft 'add chain inet loss input { type filter hook input priority 0; }'; "
                             f"nft 'add rule inet loss input {self._lost} numgen random mod 100 < 2 counter drop'")

    def lost(self):
        """How many packets were."""
        def count(namespace):
            return sum(map(int, re.findall(r"counter packets (\d+)", namespace.do("nft list ruleset"))))
        return sum(map(count, self.namespaces)) if self.lossy else 0

    def wait_until(self, part):
        """Of the load's time."""
        time.sleep(max(0.0, self._began + part * self.seconds - time.monotonic()))

    def argv(self, words, end, user):
        account = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        return [*self.namespaces[end].enter, *account, *map(str, words)]

    def run(self, *words, end=-1, user=None):
        """To its end; what it wrote."""
        done = subprocess.run(self.argv(words, end, user), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              cwd=self.folder, timeout=self.seconds + OVERTIME_S, check=False)
        assert done.returncode == 0, f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *words, end=-1, user=None, stop=signal.SIGTERM, **pipes):
        """What it starts is stopped when the box is closed."""
        log = self._stack.enter_context(open(self.folder / f"{pathlib.Path(str(words[0])).name}.log", "ab"))
        pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **pipes}
        process = subprocess.Popen(self.argv(words, end, user), cwd=self.folder, **pipes)
        self._stack.callback(end_of, process, stop)
        return process

    def start_server(self, *words, port, **how):
        """And waits until it listens."""
        process = self.start(*words, end=0, **how)
        limit = time.monotonic() + READY_LIMIT_S
        while not self.listens(port):
            assert process.poll() is None, f"{words[0]} ended with {process.returncode}:\n{self.logs()}"
            assert time.monotonic() < limit, f"{words[0]} does not listen:\n{self.logs()}"
            time.sleep(0.1)

    def listens(self, port):
        with open(f"/proc/{self.namespaces[0].pid}/net/tcp", encoding="ascii") as lines:
            fields = map(str.split, lines)
            return any(field[1].endswith(f":{port:04X}") and field[3] == LISTEN for field in fields)

    def logs(self):
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))

    def talk(self, role, end=-1, **arguments):
        name = role.replace("_", "-")
        return Talker(self.start("/usr/bin/python3", TALKERS, name, role, json.dumps(arguments), end=end, stop=signal.SIGKILL,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1), name)

    def serve(self, role, **arguments):
        """Arguments with which a client's role finds this server."""
        at = {"addr": self.addr, "port": self.port()}
        self.talk(role, end=0, **at, **arguments).hear(READY_LIMIT_S)
        return at

    def close(self):
        self._stack.close()


def end_of(process, how):
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Talker:
    """A role of talkers.py, from outside."""

    def __init__(self, process, name):
        self._process, self._name = process, name

    def hear(self, limit_s):
        ready, _, _ = select.select([self._process.stdout], [], [], limit_s)
        assert ready, f"{self._name} does not answer"
        line = self._process.stdout.readline()
        assert line, f"{self._name} ended with {self._process.wait(10)}"
        return json.loads(line)

    def go(self):
        self._process.stdin.write("\n")

    def finish(self, box):
        return self.hear(box.seconds + OVERTIME_S)
