# SPDX-License-Identifier: GPL-2.0-only
"""What the matrix does not make, and where a kernel truly shows less: each with its reason."""
import dataclasses

# (program, variant): why no virtual machine makes it.
LEFT_OUT = {
    ("i7", "busy"): "its server is node, a program of 100 MB",
    ("i7", "busy-upload"): "its server is node, a program of 100 MB",
    ("i7", "stopped"): "its server is node, a program of 100 MB",
    ("healthy", "busy-loop"): "its server is node, a program of 100 MB",
    ("healthy", "loss-short"): "40,000 connections are minutes on an emulated processor; netem's variants lose packets there",
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """On `kernels`, the truth of `incidents` is read with `change`, for `lacks`."""

    kernels: tuple
    incidents: tuple
    lacks: str
    change: object  # truth -> None


# What only a known cause can say: who, where in the story, and what was seen at the other end.
BY_CAUSE = ("culprit", "peer_pid", "story", "role")


def cause_unknown(finding):
    """The finding opens as it should, without the cause and all that follows from it."""
    def change(truth):
        for wanted in truth["expect"]:
            if wanted["finding"] == finding:
                wanted["cause"] = "unknown"
                for key in BY_CAUSE:
                    wanted.pop(key, None)
    return change


DIFFERENCES = (
    Difference(("6.1",), (("i1", "cookies"),),
               "kfree_skb's receiving socket (6.11): with SYN cookies there is no request either that would tell of the full queue",
               cause_unknown("stall-unacked")),
)


def adapt(kernel, program, variant, truth):
    """The truth as this kernel can show it."""
    for row in DIFFERENCES:
        if kernel in row.kernels and (program, variant) in row.incidents:
            row.change(truth)
    return truth
