# SPDX-License-Identifier: GPL-2.0-only
"""Healthy servers under healthy load, with and without random loss: nothing above info may be said of any.

A round plays all loads under one trace, each in network namespaces of its own; what is said of others is not judged.
"""
import concurrent.futures
import contextlib
import json
import traceback

import pytest

import truth as truths
from actor import Actor, reset_incident
from loads import FULL_S, LOADS
from servers import Box
from tracer import Tracer

TAIL_S = 1.5  # for what is said a little after the loads' end


def pytest_generate_tests(metafunc):
    if "load" in metafunc.fixturenames:
        metafunc.parametrize("load", LOADS)
        metafunc.parametrize("network", ["clean", "lossy"])
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(1, metafunc.config.getoption("--rounds") + 1))


# ---------------------------------------------------------------- judging


def values_of(thing, key):
    """Every value of this key, however deep."""
    if isinstance(thing, dict):
        for name, value in thing.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(thing, list):
        for value in thing:
            yield from values_of(value, key)


def loud(findings):
    """What was said above info, one for each id, with the namespaces that it names."""
    by_id = {}
    for line in findings:
        by_id.setdefault(line["id"], []).append(line)
    told = [(truths.Told(lines), set(values_of(lines, "netns"))) for lines in by_id.values()]
    return [(one, netns) for one, netns in told if truths.rank(one.severity) > truths.rank("info")]


def loud_of(findings, netns):
    return [one for one, named in loud(findings) if named & netns]


def loud_of_the_host(findings):
    return [one for one, named in loud(findings) if not named]


def in_full(told):
    return "\n".join(f"{one}\n        raw {json.dumps(one.last)}" for one in told)


def missing(work, least):
    return [f"{what}: {work.get(what, 0)} of {count}" for what, count in least.items() if work.get(what, 0) < count]


# ---------------------------------------------------------------- a round


class Performance:
    """One load in its box, and how it went."""

    def __init__(self, name, network, seconds):
        self.name, self.network, self.seconds = name, network, seconds
        self.load = LOADS[name]
        self.work, self.trouble = {}, None
        self._box = self._acts = None
        self.netns = set()

    @contextlib.contextmanager
    def _noting_trouble(self):
        try:
            yield
        except Exception:  # whatever it is, it must not end the others
            logs = self._box.logs() if self._box else ""
            self.trouble = f"{traceback.format_exc()}\n{logs}"

    def prepare(self):
        with self._noting_trouble():
            self._box = Box(self.name, self.seconds, lossy=self.network == "lossy", **self.load.box)
            self.netns = self._box.netns
            self._acts = self.load.play(self._box)
            next(self._acts)

    def run(self):
        if self.trouble:
            return
        with self._noting_trouble():
            self._box.begin()
            try:
                next(self._acts)
            except StopIteration as end:
                self.work = dict(end.value, lost=self._box.lost())

    def end(self):
        if self._box:
            self._box.close()

    def least(self):
        lossy = {**self.load.least_lossy, "lost": 10 if self.load.busy else 0} if self.network == "lossy" else {}
        part = min(1, self.seconds / FULL_S)
        return {what: int(part * count) for what, count in {**self.load.least, **lossy}.items()}

    def shortcomings(self):
        """Why it cannot count as having run."""
        return [self.trouble] if self.trouble else missing(self.work, self.least())


class Round:
    """All chosen loads at once under one trace, and one incident in a namespace beside them."""

    def __init__(self, tool, chosen, seconds):
        self.performances = {key: Performance(*key, seconds) for key in chosen}
        self.incident_netns, self.findings, self.problems, self.stderr = set(), [], [], []
        with concurrent.futures.ThreadPoolExecutor(len(chosen) + 1) as pool:
            try:
                self._all(pool, Performance.prepare)
                with Tracer(tool) as tracer:
                    self._watch(tracer, pool)
            finally:
                self._all(pool, Performance.end)

    def _all(self, pool, act):
        list(pool.map(act, self.performances.values()))

    def _watch(self, tracer, pool):
        incident = pool.submit(self._incident)
        self._all(pool, Performance.run)
        incident.result()
        tracer.wait_for(lambda: False, TAIL_S)
        tracer.stop()
        self.findings, self.problems, self.stderr = tracer.findings(), tracer.problems(), tracer.err

    def _incident(self):
        server = Actor("ill-server")
        client = Actor("ill-client", netns_of=server)
        self.incident_netns = {server.netns}
        reset_incident(server, client, "127.0.0.1", int(server.do("listen", "127.0.0.1")))
        client.end()
        server.end()


@pytest.fixture(scope="session")
def rounds(request, tool):
    """Each round is played when its first test asks for it."""
    seconds = request.config.getoption("--watch") or FULL_S
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = list(dict.fromkeys((param["load"], param["network"]) for param in params if "load" in param))
    played = {}

    def play(turn):
        if turn not in played:
            played[turn] = concurrent.futures.Future()
            try:
                played[turn].set_result(Round(tool, chosen, seconds))
            except Exception as error:  # every test of this turn is to say it, and none to try again
                played[turn].set_exception(error)
        return played[turn].result()
    return play


# ---------------------------------------------------------------- tests


def test_nothing_above_info(rounds, load, network, turn):
    performance = rounds(turn).performances[load, network]
    shortcomings = performance.shortcomings()
    told = loud_of(rounds(turn).findings, performance.netns)
    story = [f"work done: {performance.work}", "the tool said:", in_full(told), *rounds(turn).stderr[-20:]]
    if told:
        pytest.fail("\n".join([f"{load}, {network}: {len(told)} above info", *shortcomings, *story]), pytrace=False)
    if shortcomings:
        pytest.fail("\n".join([f"{load}, {network}: load did not run", *shortcomings, *story]), pytrace=False)


def test_the_trace_is_sound(rounds, turn):
    """Exit code, schema, nothing lost; and nothing above info of the host as a whole."""
    assert rounds(turn).problems == []
    told = loud_of_the_host(rounds(turn).findings)
    assert not told, in_full(told)


def test_an_incident_beside_them_is_told(rounds, turn):
    """The same trace, judged in the same way, can say something."""
    told = loud_of(rounds(turn).findings, rounds(turn).incident_netns)
    assert any(one.last["finding"] == "reset" for one in told), in_full(told)


def said(severity, **places):
    return {"id": "f-1", "finding": "reset", "cause": "linger-zero", "severity": severity, "phase": "event", "count_total": 1,
            "duration_ms": 0, **places}


@pytest.mark.parametrize(("places", "ours"), [
    ({"connection": {"netns": 7}}, True),
    ({"connection": {"netns": 8}, "peer": {"connection": {"netns": 7}}}, True),
    ({"listener": {"netns": 7}}, True),
    ({"connection": {"netns": 8}, "examples": [{"netns": 8}, {"netns": 7}]}, True),
    ({"connection": {"netns": 8}}, False),
    ({}, False),
])
def test_judging(places, ours):
    assert bool(loud_of([said("warning", **places)], {7, 9})) == ours
    assert bool(loud_of([said("info", **places), said("critical", **places)], {7, 9})) == ours
    assert not loud_of([said("info", **places)], {7, 9})
    assert bool(loud_of_the_host([said("warning", **places)])) == (places == {})


def test_a_load_that_did_too_little():
    assert missing({"requests": 10}, {"requests": 10}) == []
    assert missing({"requests": 9}, {"requests": 10}) == ["requests: 9 of 10"]
    assert missing({}, {"requests": 1}) == ["requests: 0 of 1"]
