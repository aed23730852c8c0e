# SPDX-License-Identifier: GPL-2.0-only
"""What is lost is logged while it happens, and reaches the summary, the report and the verdict, by its way.

The reader is stopped while the kernel has more to hand over than the smallest ring buffer holds."""
import json
import re
import signal
import socket
import subprocess
import time

from tracer import Tracer, schema_errors

REFUSED = 3000  # connects; each makes several records, and 256 KiB hold some 1,000
LINE = re.compile(r"warning: ([0-9]+) events? (was|were) lost \(the ring buffer was full\)")


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def flood(pid):
    """More events than the buffer holds, while nobody reads."""
    port = closed_port()
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        for _ in range(REFUSED):
            with socket.socket() as client:
                client.connect_ex(("127.0.0.1", port))
    finally:
        subprocess.run(["kill", "-CONT", str(pid)], check=True)


def logged(tracer):
    return [int(found[1]) for line in tracer.err if (found := LINE.search(line))]


def test_losses_are_logged_and_counted_in_the_summary_and_the_report(tool, tmp_path):
    file = tmp_path / "lossy.tcpwhy"
    with Tracer(tool, "--buffer", "256k", "--record", file, "--events") as tracer:
        flood(tracer.pid)
        assert tracer.wait_for(lambda: logged(tracer), 5), "nothing was logged while it ran: " + "\n".join(tracer.err)
        assert tracer.stop() == 0
    summary = tracer.summary()
    assert schema_errors(tracer.out[-1]) == []
    assert summary["events_lost"] > 0
    assert summary["losses"]["ring_full"] + summary["losses"].get("recursion", 0) == summary["events_lost"]
    assert 0 < sum(logged(tracer)) <= summary["events_lost"]
    report = subprocess.run([tool, "report", file, "--format", "json"], capture_output=True, text=True, check=True)
    replayed = json.loads(report.stdout.splitlines()[-1])
    assert replayed["losses"] == summary["losses"] and replayed["events_lost"] == summary["events_lost"]
    text = subprocess.run([tool, "report", file], capture_output=True, text=True, check=True).stdout
    assert f"{summary['losses']['ring_full']:,} events were lost: the ring buffer was full; " in text
    assert "but events were lost" in text or "Findings: " in text


def test_a_check_that_lost_events_could_not_tell(tool):
    # Its own filter keeps findings of others out; what is lost is lost all the same.
    with Tracer(tool, "--buffer", "256k", "--for", "6s", command="check", json_lines=False) as check:
        flood(check.pid)
        rc = check.wait_end(30)
    critical = check.out[0].startswith("TCPWHY CRITICAL")
    assert rc == (2 if critical else 3), check.out[0]
    if not critical:
        assert re.search(r"[0-9]+ events were lost \(.*: a finding may have been missed", check.out[0]), check.out[0]
    assert logged(check)


def test_a_quiet_recording_logs_what_it_lost(tool, tmp_path):
    with Tracer(tool, "-o", tmp_path / "quiet.tcpwhy", "--buffer", "256k", command="record", json_lines=False) as recorder:
        flood(recorder.pid)
        recorder.wait_for(lambda: logged(recorder), 5)
        time.sleep(0.5)
        assert recorder.stop(signal.SIGTERM) == 0
    assert logged(recorder)
