# SPDX-License-Identifier: GPL-2.0-only
"""--metrics: what it serves, to whom, and that a real Prometheus alerts on a real incident."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from actor import Actor, reset_incident
from conftest import ROOT, causes_path
from test_privileges import ALL_FOUR, as_nobody, held, kept, settled_threads
from tracer import Tracer

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
ROW = re.compile(r"^\| `(tcpwhy_\w+)` \| (\w+) \| (\w*) ?\| ([\w, ]*) ?\|", re.M)
PATIENCE_S = 60


def address_of(tracer):
    """Where it says that it serves."""
    said = [match for line in tracer.err if (match := re.search(r"metrics: http://(\S+):(\d+)/metrics", line))]
    assert said, tracer.err
    return said[0][1].strip("[]"), int(said[0][2])


def get(tracer, path="/metrics", method="GET", **headers):
    connection = http.client.HTTPConnection(*address_of(tracer), timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()


def samples(text):
    """{(name, ((label, value), ...)): number} of either format, where no label's value has a quote."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        key = (name, tuple(re.findall(r'(\w+)="([^"]*)"', labels or "")))
        assert key not in found, f"{key} is there twice"
        found[key] = float(value)
    return found


def value(tracer, name, **labels):
    """The sum of what has these labels."""
    found = samples(get(tracer)[1])
    return sum(v for (n, has), v in found.items() if n == name and set(labels.items()) <= set(has))


def eventually(condition, what):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


def ports_of(finding):
    connections = [finding.get("connection"), (finding.get("peer") or {}).get("connection"), *finding.get("examples", [])]
    ends = [connection[side] for connection in connections if connection for side in ("local", "remote")]
    return {end["port"] for end in [*ends, finding.get("listener"), finding.get("service")] if end}


def documented():
    return {name: (kind, unit, [label for label in labels.strip().split(", ") if label])
            for name, kind, unit, labels in ROW.findall((ROOT / "doc" / "metrics.md").read_text())}


def test_both_formats_are_whole_and_as_documented(tool, tmp_path):
    with Tracer(tool, "--metrics", "0", "-o", tmp_path / "run.tcpwhy", command="record", json_lines=False) as tracer:
        answer, plain = get(tracer)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        checked = subprocess.run(["promtool", "check", "metrics"], input=plain, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        answer, text = get(tracer, Accept=OPENMETRICS)
        assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert text.endswith("\n# EOF\n")
        said = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
        units = dict(re.findall(r"^# UNIT (\w+) (\w+)$", text, re.M))
        pages = documented()
        # A gauge of findings is there once there was such a finding.
        absent = {"tcpwhy_findings_open", "tcpwhy_findings_open_cases"} - set(said)
        assert {name: kind for name, (kind, _, _) in pages.items() if name not in absent} == said
        assert {name: unit for name, (_, unit, _) in pages.items() if unit} == units
        for (name, labels), number in samples(text).items():
            family = name if name in said else name.removesuffix("_total")
            assert [label for label, _ in labels] == pages[family][2], name
            assert number >= 0, name
        assert set(samples(text)) == set(samples(plain))
        mine = address_of(tracer)[1]
        assert value(tracer, "tcpwhy_accept_queue_limit", listener=f"127.0.0.1:{mine}") > 0
        assert abs(time.time() - value(tracer, "tcpwhy_snapshot_time_seconds")) < 20
        # It goes on.
        before = value(tracer, "tcpwhy_sweeps_total")
        eventually(lambda: value(tracer, "tcpwhy_sweeps_total") > before, "another sweep")
        assert tracer.stop() == 0


def test_counts_what_happens(tool):
    server = Actor("met-server")
    client = Actor("met-client", netns_of=server)
    try:
        port = int(server.do("listen", "127.0.0.1"))
        with Tracer(tool, "--metrics", "[::1]:0", "--port", port) as tracer:
            assert address_of(tracer)[0] == "::1"
            critical = {"finding": "reset", "cause": "close-with-unread-data"}
            assert value(tracer, "tcpwhy_findings_opened_total", **critical) == 0
            reset_incident(server, client, "127.0.0.1", port)
            eventually(lambda: value(tracer, "tcpwhy_findings_opened_total", **critical) == 1, "the finding is counted")
            assert value(tracer, "tcpwhy_findings_cases_total", **critical) == 1
            # The two ends of one connection, both on this host.
            assert value(tracer, "tcpwhy_resets_total", direction="sent") == 1
            assert value(tracer, "tcpwhy_resets_total", direction="received") == 1
            assert value(tracer, "tcpwhy_accept_queue_limit", listener=f"127.0.0.1:{port}", netns=str(server.netns)) == 16
            assert tracer.stop() == 0
            assert tracer.problems() == []
            assert [f["finding"] for f in tracer.findings()] == ["reset"]
    finally:
        client.end()
        server.end()


def test_clients_that_are_slow_or_hostile(tool):
    with Tracer(tool, "--metrics", "127.0.0.1:0") as tracer:
        at = address_of(tracer)
        assert get(tracer, "/")[0].status == 200
        assert get(tracer, "/nothing")[0].status == 404
        answer, _ = get(tracer, method="POST")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert get(tracer, method="HEAD")[1] == ""
        with contextlib.ExitStack() as open_ones:
            def connect():
                connection = socket.create_connection(at, timeout=20)
                open_ones.callback(connection.close)
                return connection

            for i in range(200):
                connection = connect()
                with contextlib.suppress(OSError):
                    connection.sendall([b"", b"GET /met", b"X" * 20000, b"\x00\xff\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n" * 3][i % 5])
            assert get(tracer)[0].status == 200
            assert len(list(pathlib.Path(f"/proc/{tracer.pid}/task").iterdir())) == 2
            assert len(os.listdir(f"/proc/{tracer.pid}/fd")) < 150
            # Who says nothing is sent away.
            silent = connect()
            assert silent.recv(100) == b""
        assert get(tracer)[0].status == 200
        assert tracer.stop() == 0
        assert tracer.problems() == []


def test_wrong_addresses_are_refused_in_words(tool):
    def refused(address):
        return subprocess.run([str(tool), "trace", "--for", "1s", "--metrics", address], capture_output=True, text=True,
                              timeout=60, check=False)

    for address in ("nonsense", "example.org:9435", "127.0.0.1:99999", "::1:9435", ""):
        done = refused(address)
        assert done.returncode == 2, address
        assert "no address to listen on" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = refused(str(taken.getsockname()[1]))
        assert done.returncode == 1
        assert "cannot serve metrics on 127.0.0.1" in done.stderr and "another program has it" in done.stderr
    assert "no interface of this host" in refused("192.0.2.1:9435").stderr


def test_other_addresses_are_warned_of(tool):
    with Tracer(tool, "--metrics", "0.0.0.0:0") as tracer:
        assert any("no password" in line for line in tracer.err)
        assert tracer.stop() == 0


@pytest.mark.parametrize("before", [(), tuple(as_nobody(*ALL_FOUR))], ids=["root", "nobody"])
def test_who_serves_has_no_privileges(readable_tool, before):
    with Tracer(readable_tool, "--metrics", "0", before=before) as tracer:
        statuses = settled_threads(tracer, 0)
        assert held(statuses.pop(tracer.pid)) in kept()
        assert [held(status) for status in statuses.values()] == [0]
        assert get(tracer)[0].status == 200
        assert tracer.stop() == 0


class Prometheus:
    """A real one, which scrapes and evaluates each second."""

    def __init__(self, folder, target):
        rules = pathlib.Path(shutil.copy(ROOT / "doc" / "prometheus" / "tcpwhy.rules.yml", folder))
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{"job_name": "tcpwhy", "static_configs": [{"targets": [target]}]}],
            "rule_files": [str(rules)]}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
            env=dict(os.environ, GOMAXPROCS="1"))
        # To ask too early would be refused, which is an incident.
        eventually(lambda: "Server is ready" in (folder / "log").read_text(), "Prometheus is ready")

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]
        return None

    def number(self, query):
        found = (self.ask("query", query=query) or {}).get("result") or []
        return float(found[0]["value"][1]) if found else None

    def firing(self, alert, **labels):
        alerts = (self.ask("alerts") or {}).get("alerts") or []
        return any(a["state"] == "firing" and dict(a["labels"], **labels) == a["labels"] and a["labels"]["alertname"] == alert
                   for a in alerts)

    def end(self):
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


def test_a_real_prometheus_alerts_on_a_real_incident(tool, tmp_path):
    with Tracer(tool, "--metrics", "0") as tracer:
        port = address_of(tracer)[1]
        prometheus = Prometheus(tmp_path, f"127.0.0.1:{port}")
        try:
            eventually(lambda: prometheus.number("up") == 1, "a scrape that Prometheus could read")
            stuck = {"finding": "connect-stalled", "cause": "accept-queue-full", "severity": "critical"}
            assert not prometheus.firing("TcpwhyCriticalFinding", **stuck)
            incident = subprocess.Popen([str(causes_path() / "i2"), "--variant", "ipv4"], stdout=subprocess.DEVNULL)
            try:
                eventually(lambda: prometheus.firing("TcpwhyCriticalFinding", **stuck), "the alert")
            finally:
                assert incident.wait(120) == 0
            eventually(lambda: prometheus.firing("TcpwhyCriticalEvent", finding="reset", cause="never-accepted"), "the resets")
            eventually(lambda: not prometheus.firing("TcpwhyCriticalFinding", **stuck), "its end")
            # Its listener is gone, and its series with it.
            assert prometheus.number("max(max_over_time(tcpwhy_accept_queue_drops_total[5m]))") > 0
            assert not prometheus.firing("TcpwhyHangs")
            # Scrapes are traffic, and nothing is wrong with them.
            scrapes = prometheus.number("count_over_time(up[5m])")
            assert scrapes >= 3
        finally:
            prometheus.end()
        assert tracer.stop() == 0
        assert tracer.problems() == []
        assert [f for f in tracer.findings() if ports_of(f) & {port, prometheus.port}] == []
