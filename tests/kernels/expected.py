# SPDX-License-Identifier: GPL-2.0-only
"""What the matrix does not make, and where a kernel truly shows less: each with its reason."""
import dataclasses

# (program, variant): why no virtual machine makes it.
LEFT_OUT = {
    ("i7", "busy"): "its server is node, a program of 100 MB",
    ("i7", "busy-upload"): "its server is node, a program of 100 MB",
    ("i7", "stopped"): "its server is node, a program of 100 MB",
    ("healthy", "busy-loop"): "its server is node, a program of 100 MB",
    ("crowd", "4000"): "thousands of connections are minutes on an emulated processor; crowd-400 is made there",
    ("crowd", "processes"): "thousands of processes do not fit into a virtual machine of this size",
    ("crowd", "processes-stopped"): "thousands of processes do not fit into a virtual machine of this size",
    ("flood", "steady"): "1,000 connects a second are more than an emulated processor makes; the other floods are made there",
    ("healthy", "loss-short"): "40,000 connections are minutes on an emulated processor; netem's variants lose packets there",
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """On `kernels`, the truth of `incidents` is read with `change`, for `lacks`; `then` says in words what is told."""

    kernels: tuple
    incidents: tuple
    lacks: str
    then: str
    change: object  # truth -> None


def without_peer(finding):
    """The other end is not known."""
    def change(truth):
        for wanted in truth["expect"]:
            if wanted["finding"] == finding:
                wanted.pop("peer_pid", None)
    return change


# What is said of a silence when nobody tells of the rule that makes it.
SILENT = {"stall-unacked": "unknown", "connect-stalled": "peer-silent", "connect-timeout": "peer-silent"}


def firewall_unseen(truth):
    """The findings are told, and nobody is blamed."""
    for wanted in truth["expect"]:
        if wanted.get("cause") == "dropped-locally":
            wanted["cause"] = SILENT[wanted["finding"]]
        kind = wanted.get("culprit", {}).get("kind")
        if isinstance(kind, list) or kind in ("local-firewall", "network", "remote-host"):
            wanted["culprit"] = {"kind": "unknown"}
            # Findings without a culprit are no story.
            wanted.pop("story", None)
            wanted.pop("role", None)


def rejected_is_unreachable(truth):
    for wanted in truth["expect"]:
        if wanted.get("cause") == "rejected":
            wanted.update(cause="unreachable", culprit={"kind": "unknown"})


def never_told(finding):
    def change(truth):
        truth["expect"] = [wanted for wanted in truth["expect"] if wanted["finding"] != finding]
    change.never = finding  # so the table of hooks may not promise it
    return change


DIFFERENCES = (
    Difference(("5.10", "6.1"), (("i1", "cookies"),),
               "kfree_skb's receiving socket (6.11): with SYN cookies there is no request either that would tell of the server's end",
               "the client's finding without the other end's process",
               without_peer("stall-unacked")),
    Difference(("5.10",), (("i1", "handshake-ack-lost"), ("i1", "handshake-ack-lost-ipv6"), ("i6", "cut"), ("i6", "timeout"),
                           ("i6", "blackhole"), ("i6", "blackhole-timeout"), ("resets", "keepalive-timeout"),
                           ("resets", "firewall-eats"), ("connect", "timeout"), ("connect", "dropped"),
                           ("connect", "stalled-then-ok")),
               "kfree_skb's reason (5.17): what a firewall of this host drops is not told",
               "the findings, with nobody blamed and `firewall_unseen` in their evidence",
               firewall_unseen),
    Difference(("5.10",), (("connect", "icmp-blocking"),),
               "kfree_skb's reason (5.17): the dropped SYN is all there is to see of whose reject rule it was",
               "connect-timeout as `unreachable`, with nobody blamed and `firewall_unseen` in its evidence",
               rejected_is_unreachable),
    Difference(("5.10",), (("connect", "icmp-host-unreachable"), ("connect", "icmp-port-unreachable")),
               "kfree_skb's reason (5.17): the dropped SYN is all there is to see of a reject rule that leaves no error in the socket",
               "nothing",
               never_told("connect-timeout")),
)


# Findings of an incident that a virtual machine blurs: allowed, not demanded. i2 keeps an emulated processor busy with 210
# clients; the tool's looks come late there, and a stall of a few seconds may be over before it is told.
BLURRED = {("i2", "ipv4"): ("stall-unacked",), ("i2", "ipv6"): ("stall-unacked",)}


def blur(truth, findings):
    truth["allow"] += [{"finding": wanted["finding"], "cause": wanted["cause"]} for wanted in truth["expect"]
                       if wanted["finding"] in findings]
    truth["expect"] = [wanted for wanted in truth["expect"] if wanted["finding"] not in findings]


# Sweeps take at most 1% of a processor: on an emulated one, which takes some ten times as long for each, they come less often.
SLOWER_SWEEPS_S = 5


def adapt(kernel, program, variant, truth):
    """The truth as this kernel can show it."""
    if "over_by" in truth:
        truth["over_by"] += SLOWER_SWEEPS_S
    for wanted in truth["expect"]:
        if "opened_by" in wanted:
            wanted["opened_by"] += SLOWER_SWEEPS_S
    if (program, variant) in BLURRED:
        blur(truth, BLURRED[program, variant])
    for row in DIFFERENCES:
        if kernel in row.kernels and (program, variant) in row.incidents:
            row.change(truth)
    return truth
