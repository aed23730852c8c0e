# SPDX-License-Identifier: GPL-2.0-only
"""Two network namespaces, each recorded by itself and rewritten as another host's, are read together."""
import json
import re
import subprocess
import time

import pytest

import fake_host
from actor import Actor, idle_reset, reset_incident
from tracer import Tracer, schema_errors

CLIENT, SERVER = "10.66.1.2", "10.66.2.2"
AHEAD_S = 1.25
WEB_1, WEB_2 = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


def within(actor, *command):
    subprocess.run(["nsenter", f"--net=/proc/{actor.pid}/ns/net", *command], check=True, capture_output=True)


class Network:
    """A client, a server, and a router between them that can eat what it should forward."""

    def __init__(self):
        self.client, self.server, self.router = Actor("warm-client"), Actor("cold-server"), Actor("router")
        within(self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for actor, address in ((self.client, CLIENT), (self.server, SERVER)):
            gateway = address[:-1] + "1"
            name = "to-" + actor.comm[:4]
            within(self.router, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(actor.pid))
            within(self.router, "ip", "address", "add", gateway + "/24", "dev", name)
            within(self.router, "ip", "link", "set", name, "up")
            within(actor, "ip", "address", "add", address + "/24", "dev", "eth0")
            within(actor, "ip", "link", "set", "eth0", "up")
            within(actor, "ip", "route", "add", "default", "via", gateway)

    def eat(self, what):
        rule = f"table ip eats {{ chain forward {{ type filter hook forward priority 0; {what} drop; }}; }}"
        subprocess.run(["nsenter", f"--net=/proc/{self.router.pid}/ns/net", "nft", "-f", "-"], input=rule, text=True,
                       check=True, capture_output=True)

    def end(self):
        for actor in (self.client, self.server, self.router):
            actor.end()


@pytest.fixture
def network():
    made = Network()
    yield made
    made.end()


def record(tool, network, folder, incident):
    """The recordings of the two hosts, with some connections in them that go well."""
    hosts = ((network.client, "web-1", WEB_1, 0), (network.server, "web-2", WEB_2, int(AHEAD_S * 1e9)))
    raw = [folder / f"{name}.raw" for _actor, name, _boot, _ahead in hosts]
    with Tracer(tool, "-o", raw[0], "--netns", network.client.netns, command="record", json_lines=False) as first, \
            Tracer(tool, "-o", raw[1], "--netns", network.server.netns, command="record", json_lines=False) as second:
        port = int(network.server.do("listen", SERVER))
        for _ in range(6):
            idle_reset(network.server, network.client, SERVER, port)
        incident(port)
        first.stop()
        second.stop()
    files = []
    for (actor, name, boot, ahead), source in zip(hosts, raw):
        files.append(folder / f"{name}.tcpwhy")
        fake_host.rewrite(source, files[-1], name, boot, ahead, actor.netns)
    return files


def report(tool, *arguments):
    told = subprocess.run([str(tool), "report", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stderr
    return told


def read_together(tool, files):
    """Findings by slug, the last line of each; what was said of the clocks is checked."""
    told = report(tool, *files, "--format", "json")
    lines = told.stdout.splitlines()
    assert [error for line in lines for error in schema_errors(line)] == []
    summary = json.loads(lines[-1])
    (other,) = summary["other_hosts"]
    assert other["host"] == "web-2" and other["pairs"] >= 6
    assert abs(other["clock_ahead_ms"] - AHEAD_S * 1000) < 5, other
    said = re.search(r"clock of web-2 is ([0-9.]+) s ahead of web-1 \(from (\d+) connections", told.stderr)
    assert said and abs(float(said[1]) - AHEAD_S) < 0.005, told.stderr
    return {value["finding"]: value for value in map(json.loads, lines[:-1])}


def process(value):
    return value["comm"], value["host"]


def test_the_handshakes_ack_is_eaten_on_the_way(tool, network, tmp_path):
    def incident(port):
        network.eat(f"ip daddr {SERVER} tcp flags & (syn | ack) == ack")
        network.client.do("connect", SERVER, port)
        network.client.do("send", 5)
        time.sleep(5)

    files = record(tool, network, tmp_path, incident)
    finding = read_together(tool, files)["synack-retransmit-unexpected"]
    assert (finding["host"], finding["cause"]) == ("web-2", "handshake-ack-lost")
    assert re.fullmatch(r"client's ACK left web-1 at \d\d:\d\d:\d\d\.\d{3}Z, never reached web-2",
                        finding["evidence"]["seen_elsewhere"])
    assert process(finding["peer"]["owner"]) == ("warm-client", "web-1")
    assert finding["peer"]["connection"]["host"] == "web-1"
    assert finding["peer"]["connection"]["id"].startswith(WEB_1[:8])
    assert finding["connection"]["id"].startswith(WEB_2[:8])
    assert finding["connection"]["netns"] == network.server.netns
    stall = read_together(tool, files)["stall-unacked"]
    assert stall["host"] == "web-1"
    assert stall["evidence"]["seen_elsewhere"].startswith("web-2 never got the ACK of the handshake")
    # One of them alone knows its own side only.
    alone = report(tool, files[1], "--format", "json").stdout
    assert "seen_elsewhere" not in alone and "other_hosts" not in alone and "web-1" not in alone
    assert "synack-retransmit-unexpected" not in alone


def test_a_reader_that_stops_is_named_on_its_host(tool, network, tmp_path):
    def incident(port):
        network.client.do("connect", SERVER, port)
        network.server.do("accept")
        network.client.do("fill")
        time.sleep(5)

    files = record(tool, network, tmp_path, incident)
    finding = read_together(tool, files)["stall-zero-window"]
    assert process(finding["culprit"]) == ("cold-server", "web-2")
    assert process(finding["owner"]) == ("warm-client", "web-1")
    assert finding["culprit"]["pid"] == network.server.pid
    lines = report(tool, files[0], "--format", "json").stdout.splitlines()[:-1]
    alone = {value["finding"]: value for value in map(json.loads, lines)}
    assert alone["stall-zero-window"]["culprit"]["kind"] == "remote-host"


def test_a_reset_is_told_once_from_its_senders_end(tool, network, tmp_path):
    def incident(port):
        reset_incident(network.server, network.client, SERVER, port)
        time.sleep(1)

    files = record(tool, network, tmp_path, incident)
    finding = read_together(tool, files)["reset"]
    assert finding["direction"] == "sent" and finding["cause"] == "close-with-unread-data"
    assert process(finding["culprit"]) == ("cold-server", "web-2")
    assert process(finding["peer"]["owner"]) == ("warm-client", "web-1")


def test_connections_have_both_ends(tool, network, tmp_path):
    ports = {}

    def incident(port):
        ports[port] = idle_reset(network.server, network.client, SERVER, port)

    files = record(tool, network, tmp_path, incident)
    ((port, own),) = ports.items()
    table = [json.loads(line) for line in report(tool, *files, "--connections", "--format", "json").stdout.splitlines()]
    (row,) = [row for row in table if row["client"]["port"] == own]
    assert (row["client"]["host"], row["server"]["host"], row["server"]["port"]) == ("web-1", "web-2", port)
    assert row["client"]["process"]["comm"] == "warm-client"
    assert row["client"]["bytes_sent"] == 100 and row["server"]["bytes_sent"] == 50
    ladder = report(tool, *files, "--connection", f"{CLIENT}:{own}").stdout
    assert "warm-client" in ladder and "on web-1" in ladder
    # In the order in which it happened, by one clock.
    assert ladder.index("SYN_SENT to ESTABLISHED") < ladder.index("SYN_RECV to ESTABLISHED")
