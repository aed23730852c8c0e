# SPDX-License-Identifier: GPL-2.0-only
"""What happens when: the same for the same seed."""
import dataclasses
import random

KINDS = ("stopped-reader", "closed-listener", "full-queue", "dropped-packets")
HEALTHY = ("nginx-pool", "redis-pubsub", "ssh-idle", "push", "syslog", "nginx-wrk")
LANES = 3  # stalls at a time, at most
WARM_UP_S = 2.0
HOLD_S = (5.0, 9.0)
GAP_S = (1.0, 4.0)
RECOVERY_S = 8.0  # what a stall may take to be over, once its reason is gone: a retransmission waits for its back-off
HEALTHY_S = 20
CHURN_S, CHURN_CONNECTIONS = (3.0, 8.0), (500, 2500)


@dataclasses.dataclass(frozen=True)
class Stall:
    lane: int
    start_s: float
    kind: str
    hold_s: float  # how long its reason is there
    size: int  # connections


@dataclasses.dataclass(frozen=True)
class Load:
    start_s: float
    name: str
    seconds: int


@dataclasses.dataclass(frozen=True)
class Burst:
    start_s: float
    connections: int


@dataclasses.dataclass(frozen=True)
class Plan:
    stalls: tuple
    loads: tuple
    bursts: tuple


def make(seconds, seed):
    """Stalls in lanes, healthy servers one after the other, bursts of short connections."""
    return Plan(tuple(_stalls(seconds, random.Random(f"stalls {seed}"))), tuple(_loads(seconds, random.Random(f"loads {seed}"))),
                tuple(_bursts(seconds, random.Random(f"bursts {seed}"))))


def _stalls(seconds, chance):
    kinds = []
    for lane in range(LANES):
        at = WARM_UP_S + chance.uniform(0, GAP_S[1])
        while True:
            # Each kind comes before one comes again.
            kinds = kinds or chance.sample(KINDS, len(KINDS))
            stall = Stall(lane, round(at, 3), kinds.pop(), round(chance.uniform(*HOLD_S), 3), chance.randint(1, 20))
            if stall.start_s + stall.hold_s + RECOVERY_S > seconds:
                kinds.append(stall.kind)
                break
            yield stall
            at += stall.hold_s + RECOVERY_S + chance.uniform(*GAP_S)


def _loads(seconds, chance):
    names = []
    for start_s in range(1, int(seconds) - HEALTHY_S, HEALTHY_S + 3):
        names = names or chance.sample(HEALTHY, len(HEALTHY))
        yield Load(float(start_s), names.pop(), HEALTHY_S)


def _bursts(seconds, chance):
    at = chance.uniform(*CHURN_S)
    while at < seconds - CHURN_S[0]:
        yield Burst(round(at, 3), chance.randint(*CHURN_CONNECTIONS))
        at += chance.uniform(*CHURN_S)
