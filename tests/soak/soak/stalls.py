# SPDX-License-Identifier: GPL-2.0-only
"""Stalls that come and go, each in a namespace of its own, with what is true of them."""
import contextlib
import pathlib
import select
import signal
import subprocess
import time

from servers import Namespace

from .judge import Truth

ACTORS = pathlib.Path(__file__).parent / "actors.py"
ADDR = "127.0.0.1"
SETTLE_S = 1.0  # a stall begins among connections that have worked
ANSWER_LIMIT_S = 30
CLOSES_S = 1.5  # two looks, and the tick that says it
CLOSES_QUEUE_S = 4.0  # an overflow is over when nothing was refused for 2 s


class SoakError(Exception):
    """Something of the soak itself failed; the tool is not at fault."""


class Actor:
    """A process of actors.py in a namespace."""

    def __init__(self, namespace, role, comm, *words):
        command = [*namespace.enter, "/usr/bin/python3", "-B", ACTORS, role, comm, ADDR, *words]
        self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.comm = comm
        self.hear("ready")

    @property
    def pid(self):
        return self._process.pid  # nsenter becomes the program that it runs

    def tell(self, word):
        self._process.stdin.write(word + "\n")

    def hear(self, word):
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_LIMIT_S)
        said = self._process.stdout.readline().strip() if ready else "nothing"
        if said != word:
            raise SoakError(f"{self.comm} said {said or 'nothing'} instead of {word}")

    def send(self, number):
        self._process.send_signal(number)

    def end(self):
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Stage:
    """The namespace of one stall, with the actors in it."""

    def __init__(self, stack, port):
        self.namespace, self.port = Namespace(), port
        stack.callback(self.namespace.end)
        self._stack = stack
        self.began = time.time()

    def actor(self, role, comm, *more):
        actor = Actor(self.namespace, role, comm, self.port, *more)
        self._stack.callback(actor.end)
        return actor

    def truth(self, kind, **more):
        return Truth(kind=kind, netns=self.namespace.inode, began=self.began, service={"addr": ADDR, "port": self.port}, **more)


def stopped_reader(stage, stall):
    reader = stage.actor("reader", "soak-reader")
    stage.actor("writer", "soak-writer", stall.size)
    time.sleep(SETTLE_S)
    onset = time.time()
    reader.send(signal.SIGSTOP)
    time.sleep(stall.hold_s)
    reader.send(signal.SIGCONT)
    over = time.time()
    time.sleep(CLOSES_S)
    return stage.truth(
        stall.kind, finding="stall-unread", cause="process-stopped", culprit_kind="local-process", culprit_pid=reader.pid,
        due=onset + 2.4,  # 64 KiB wait after 16 writes
        over=over, closes_within_s=CLOSES_S, allowed=(("stall-zero-window", "peer-not-reading"),))


def closed_listener(stage, stall):
    server = stage.actor("greeter", "soak-server")
    caller = stage.actor("caller", "soak-caller")
    time.sleep(SETTLE_S)
    onset = time.time()
    server.send(signal.SIGKILL)
    time.sleep(stall.hold_s)
    stage.actor("greeter", "soak-server")
    over = time.time()
    time.sleep(CLOSES_S)
    caller.end()  # before its server does
    return stage.truth(
        stall.kind, finding="connect-refused", cause="listener-gone", culprit_kind="local-process", culprit_pid=server.pid,
        due=onset + 1.2,  # the next call, and a second in which it might succeed elsewhere
        over=over, closes_within_s=CLOSES_S,
        allowed=(("reset", "process-exit"), ("reset", "never-accepted"), ("closed-mid-request", "process-exit")))


def full_queue(stage, stall):
    # With a cookie nothing is left on the server of a client whose ACK it dropped: who waits to be greeted would do so forever.
    stage.namespace.do("echo 0 >/proc/sys/net/ipv4/tcp_syncookies")
    server = stage.actor("greeter", "soak-sleeper")
    crowd = stage.actor("crowd", "soak-crowd", 36 + stall.size)  # its queue holds 33
    time.sleep(SETTLE_S)
    server.tell("pause")
    time.sleep(0.1)
    onset = time.time()
    crowd.tell("call")
    time.sleep(stall.hold_s)
    server.tell("go")
    crowd.hear("connected")
    over = time.time()
    crowd.hear("greeted")
    time.sleep(CLOSES_QUEUE_S)
    return stage.truth(
        stall.kind, finding="accept-queue-overflow", cause="not-accepting", culprit_kind="local-process", culprit_pid=server.pid,
        due=onset + 1.0, over=over, closes_within_s=CLOSES_QUEUE_S,
        allowed=(("connect-stalled", "accept-queue-full"), ("synack-retransmit-unexpected", "accept-queue-full"),
                 ("accept-stalled", "not-accepting"), ("stall-unread", "never-accepted")))


def dropped_packets(stage, stall):
    stage.actor("reader", "soak-reader")
    writer = stage.actor("writer", "soak-writer", stall.size)
    time.sleep(SETTLE_S)
    stage.namespace.do("nft add table inet cut; nft 'add chain inet cut input { type filter hook input priority 0; }'; "
                       f"nft 'add rule inet cut input tcp dport {stage.port} counter drop'")
    onset = time.time()
    time.sleep(stall.hold_s)
    stage.namespace.do("nft delete table inet cut")
    writer.tell("drain")
    writer.hear("drained")
    over = time.time()
    time.sleep(CLOSES_S)
    return stage.truth(
        stall.kind, finding="stall-unacked", cause="dropped-locally", culprit_kind="local-firewall", culprit_pid=None,
        due=onset + 1.1, over=over, closes_within_s=CLOSES_S)


MAKERS = {"stopped-reader": stopped_reader, "closed-listener": closed_listener, "full-queue": full_queue,
          "dropped-packets": dropped_packets}


def make(stall, port, seen):
    """Makes it and returns its Truth; `seen` gets its namespace before anything happens there."""
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, port)
        seen(stage.namespace.inode)
        return MAKERS[stall.kind](stage, stall)
