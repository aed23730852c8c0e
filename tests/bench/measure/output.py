# SPDX-License-Identifier: GPL-2.0-only
"""Results as text, Markdown and JSON. All is made from the JSON document, so that a saved one can be shown again."""

import dataclasses
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess

SCHEMA = "tcpwhy.bench/1"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def figure(value, form="{:,.0f}"):
    return "" if value is None else form.format(value)


def mib(kib):
    return "" if kib is None else f"{kib / 1024:.1f}"


def spread(ratio, form="{:.3f}"):
    return f"{form.format(ratio['median'])} ({form.format(ratio['min'])} to {form.format(ratio['max'])})"


@dataclasses.dataclass
class Table:
    says: str  # what it shows; for Markdown
    columns: tuple
    left: int  # so many columns are words
    rows: list


# ------------------------------------------------------------------------------------------------------------ loads in pairs

PAIRS_COLUMNS = ("load", "tool", "against none", "ns/state change", "ns/unit", "events", "lost", "B/event", "CPU s", "CPU", "peak MiB")


def pairs_row(result):
    bpf = result["bpf"]
    # A handful of state changes, cold, is not what the column is about.
    enough = bpf and bpf["state_changes"] >= 10_000
    return (
        result["load"],
        "none again" if result["tool"] == "none" else result["tool"],
        spread(result["ratio"]),
        figure(bpf["ns_per_state_change"] if enough else None),
        figure(bpf["ns_per_unit"], "{:,.1f}" if bpf["ns_per_unit"] < 100 else "{:,.0f}") if bpf else "",
        figure(result["events"]),
        figure(result["events_lost"]),
        figure(result.get("bytes_per_event"), "{:.1f}"),
        figure(result["cpu_s"], "{:.2f}"),
        figure(result["cpu_share"], "{:.1%}"),
        mib(result["peak_kib"]),
    )


def pairs_table(results):
    says = ("Speed of a load with each tool by its speed without, in alternation; 1 is no cost. `none again` is the machine's "
            f"own noise: no tracer against no tracer. {'; '.join(baselines(results))}.")
    return Table(says, PAIRS_COLUMNS, 3, list(map(pairs_row, results)))


def baselines(results):
    """How fast each load was without a tracer, over all its pairs: to judge the machine by, not the tools."""
    rates = {}
    for result in results:
        found = rates.setdefault((result["load"], result["unit"]), [])
        found += [pair["without_per_s"] for pair in result["pairs"]]
    return [f"{load} without a tracer: {statistics.median(found):,.0f} {unit}s/s ({min(found):,.0f} to {max(found):,.0f})"
            for (load, unit), found in rates.items()]


# --------------------------------------------------------------------------------------------------------- held connections

HOLD_COLUMNS = ("load", "sockets", "walk / ss", "a walk, ms", "ss -tinm, ms", "visited", "ns/visit", "walks each", "a sweep, ms",
                "swept", "sweeps each", "CPU", "RSS MiB", "B/socket", "kernel B/socket", "attach ms")


def hold_row(result):
    walk_s = statistics.median(pair["walk_cpu_s"] for pair in result["pairs"])
    sweep_s = result["sweep_cpu_s"]
    ss_s = statistics.median(pair["ss_cpu_s"] for pair in result["pairs"])
    mark = "*" if result["counted_with_statistics"] else ""
    return (
        result["load"],
        f"{result['sockets']:,}",
        spread(result["ratio"], "{:.3f}" if result["ratio"]["median"] > 0.01 else "{:.5f}"),
        figure(walk_s * 1e3, "{:,.1f}" if walk_s > 0.001 else "{:.3f}") + mark,
        figure(ss_s * 1e3, "{:,.1f}"),
        figure(result["visits_per_walk"]),
        figure(result["ns_per_visit"]),
        _intervals(result),
        figure(None if sweep_s is None else sweep_s * 1e3, "{:.2f}"),
        figure(result["visits_per_sweep"]),
        figure(result["sweep_interval_s"], "{:.1f} s"),
        f"{result['cpu_share']:.2%}",
        mib(result["rss_kib"]),
        figure(result["user_bytes_per_socket"]),
        figure(result["kernel_bytes_per_socket"]),
        figure(result["attach_ms"]),
    )


def _intervals(result):
    said = result["announced_interval_s"]
    return figure(result["interval_s"], "{:.1f} s") + ("" if said is None else f" (says {said:g} s)")


def hold_table(results):
    says = ("Idle connections, held: the CPU time of one walk of tcpwhy over all sockets by that of one `ss -tinm`, in "
            "turns; the share of one CPU is of all that tcpwhy did meanwhile.")
    if any(result["counted_with_statistics"] for result in results):
        says += " (*) Too little to be seen but with the kernel's statistics on, whose own cost is in it."
    return Table(says, HOLD_COLUMNS, 3, list(map(hold_row, results)))


# -------------------------------------------------------------------------------------------------------------------- onsets

ONSET_COLUMNS = ("load", "finding", "sockets held", "found", "stamped, s: median", "max", "printed, s: median", "max", "CPU",
                 "peak MiB")


def onset_row(result):
    delays = [figure((result[which] or {}).get(key), "{:.2f}")
              for which in ("stamped_s", "printed_s") for key in ("median", "max")]
    return (
        result["load"],
        f"{result['finding']} ({result['threshold_s']:g} s)",
        f"{result['sockets']:,}",
        f"{len(result['delays'])} of {result['onsets']}",
        *delays,
        f"{result['cpu_share']:.2%}",
        mib(result["peak_kib"]),
    )


def onset_table(results):
    says = ("Stalls that begin at known instants: how much later than onset and threshold the finding came, by the time in it "
            "and by when its line was there to be read.")
    return Table(says, ONSET_COLUMNS, 2, list(map(onset_row, results)))


STUCK_COLUMNS = ("load", "finding", "processes", "connections", "found", "first, s", "all, s", "findings", "JSON lines", "text lines",
                 "lost", "CPU", "peak MiB")


def stuck_row(result):
    return (
        result["load"],
        f"{result['finding']} ({result['threshold_s']:g} s)",
        f"{result['processes']:,}",
        f"{result['connections']:,}",
        f"{result['found']:,}",
        figure(result["first_s"], "{:.2f}"),
        figure(result["all_s"], "{:.2f}"),
        f"{result['findings']:,}",
        f"{result['json_lines']:,}",
        f"{result['text_lines']:,}",
        f"{result['lost']:,}",
        f"{result['cpu_share']:.1%}",
        mib(result["peak_kib"]),
    )


def stuck_table(results):
    says = ("Many connections that get stuck at one instant: how much later than onset and threshold the first finding came, and "
            "the line with which all connections were in findings; the share of one CPU is of the seconds from the onset on.")
    return Table(says, STUCK_COLUMNS, 2, list(map(stuck_row, results)))


# -------------------------------------------------------------------------------------------------------------------- storms

STORM_COLUMNS = ("load", "/s without", "/s with", "events", "lost", "CPU", "idle MiB", "peak MiB", "rested MiB", "ends, s: --for",
                 "SIGINT", "SIGTERM", "reader found, s", "listener found, s", "flight recorder")


def storm_row(result):
    ended = [figure(result["ended_s"].get(how), "{:.2f}") for how in ("--for", "SIGINT", "SIGTERM")]
    found = [_incident(result["incidents"].get(name)) for name in ("reader", "listener")]
    return (
        result["load"],
        figure(result["without_per_s"]),
        figure(result["with_per_s"]),
        figure(result["events"]),
        figure(result["lost"]),
        f"{result['cpu_share']:.0%}",
        mib(result["idle_kib"]),
        mib(result["peak_kib"]),
        mib(result["rested_kib"]),
        *ended,
        *found,
        _recorder(result["recorder"]),
    )


def _incident(row):
    if row is None:
        return ""
    return figure(row["found_s"], "{:.2f}") or f"no ({row['cause'] or 'silent'})"


def _recorder(row):
    if not row:
        return ""
    return f"failed ({row['code']})" if row.get("problem") else f"saved {row['file_mib']:g} MiB, peak {row['peak_mib']:g}"


def storm_table(results):
    rest = sorted({f"{result['rest_s']:g}" for result in results})
    says = (f"Storms by an unprivileged process. CPU is of the storm's time; `rested` is resident memory {' and '.join(rest)} s after "
            "it; `ends` is how long after --for or the signal, the signals in the midst of the storm, the trace had ended; `found` is "
            "how much later than onset and threshold an incident in the storm was reported with its true cause; the flight recorder "
            "ran with its unit's options, under its unit's memory limit.")
    return Table(says, STORM_COLUMNS, 1, list(map(storm_row, results)))


# -------------------------------------------------------------------------------------------------------------------- replays

REPLAY_COLUMNS = ("what", "tool", "tshark / tcpwhy", "events", "file MiB", "B/event", "lost", "CPU s", "events/s of CPU",
                  "connections/s of CPU", "wall s", "peak MiB")


def replay_row(result):
    cpu_s = result["cpu_s"]["median"]
    events, connections = result["events"], result["connections"]
    return (
        result["load"],
        result["tool"],
        spread(result["against_tcpwhy"], "{:.1f}") if result["against_tcpwhy"] else "",
        figure(events),
        figure(result["file_bytes"] / 2**20, "{:,.1f}"),
        figure(result["file_bytes"] / events if events else None, "{:.1f}"),
        figure(result["lost"]),
        spread(result["cpu_s"], "{:.2f}"),
        figure(events / cpu_s if events else None),
        figure(connections / cpu_s if connections else None),
        figure(result["wall_s"]["median"], "{:.2f}"),
        mib(result["peak_kib"]),
    )


def replay_table(results):
    says = ("Recordings, reported: of a churn load, beside tshark on a capture of the same connections, in turns (its CPU time "
            "by that of tcpwhy in the same pair); the same events many times over; and a second of a large file.")
    return Table(says, REPLAY_COLUMNS, 2, list(map(replay_row, results)))


# ----------------------------------------------------------------------------------------------------------------- documents

TABLES = {"pairs": pairs_table, "hold": hold_table, "onset": onset_table, "stuck": stuck_table, "storm": storm_table,
          "replay": replay_table}


def document(results, failures, command, pairs, packages):
    return {
        "schema": SCHEMA,
        "command": command,
        "machine": describe_machine(packages),
        "pairs": pairs,
        "results": [result.as_json() for result in results],
        "failures": failures,
    }


def tables(doc):
    for kind, table in TABLES.items():
        if results := [result for result in doc["results"] if result["kind"] == kind]:
            yield table(results)


def machine_line(doc):
    machine = doc["machine"]
    return (f"Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}); "
            f"medians of {doc['pairs']} pairs (lowest to highest)")


def as_text(doc):
    parts = [doc["command"] + "\n" + machine_line(doc)]
    for table in tables(doc):
        rows = [table.columns, *table.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
        lines = [_aligned(row, widths, table.left) for row in rows]
        parts.append("\n".join([table.says.replace("`", ""), "", *lines]))
    return "\n\n".join(parts)


def _aligned(row, widths, left):
    cells = [cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
    return "  ".join(cells).rstrip()


def as_markdown(doc):
    parts = [f"`{doc['command']}` on {machine_line(doc)}:"]
    for table in tables(doc):
        rows = [table.columns, *table.rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * table.left + "---:|" * (len(table.columns) - table.left))
        parts.append(table.says + "\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def replace_between_markers(path, markdown):
    """Puts `markdown` between the two marks in the file; False where they are not there."""
    text = path.read_text(encoding="utf-8")
    replaced, count = re.subn(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{markdown}\n{END}", text, count=1, flags=re.DOTALL)
    if count:
        path.write_text(replaced, encoding="utf-8")
    return count == 1


# ------------------------------------------------------------------------------------------------------------------- machine


def describe_machine(packages):
    cpu = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": cpu.group(1).strip() if cpu else platform.machine(),
        "packages": {package: version for package in packages if (version := package_version(package))},
    }


def package_version(package):
    if not shutil.which("dpkg-query"):
        return None
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout or None
