#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""rules_test.py PROMTOOL: the files of doc/prometheus are valid, the rules alert when they should, on metrics that exist."""
import pathlib
import re
import subprocess
import sys
import unittest

DOC = pathlib.Path(__file__).resolve().parent.parent.parent / "doc"
RULES = DOC / "prometheus" / "tcpwhy.rules.yml"
TESTS = DOC / "prometheus" / "tcpwhy.rules.test.yml"
CONFIG = DOC / "prometheus" / "tcpwhy.prometheus.yml"


def promtool(*arguments):
    return subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)


def samples_in_doc():
    """The names that a query can ask for."""
    rows = re.findall(r"^\| `(tcpwhy_\w+)` \| (\w+) \|", (DOC / "metrics.md").read_text(), re.M)
    return {name + ("_total" if kind == "counter" else "") for name, kind in rows}


class Rules(unittest.TestCase):
    def check(self, *arguments):
        done = promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_are_valid(self):
        self.check("check", "rules", RULES)

    def test_configuration_is_valid(self):
        self.check("check", "config", CONFIG)

    def test_each_alerts_when_it_should(self):
        self.check("test", "rules", TESTS)
        alerts = set(re.findall(r"^      - alert: (\w+)", RULES.read_text(), re.M))
        self.assertEqual(alerts, set(re.findall(r"alertname: (\w+)", TESTS.read_text())))

    def test_they_ask_for_metrics_that_exist(self):
        asked = set(re.findall(r"\btcpwhy_\w+", RULES.read_text()))
        self.assertGreater(len(asked), 5)
        self.assertEqual(asked - samples_in_doc(), set())

    def test_promtool_refuses_what_is_wrong(self):
        done = subprocess.run([PROMTOOL, "check", "rules", "/dev/stdin"], input="groups: [{name: x, rules: [{alert: X, expr: 'up >'}]}]",
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    PROMTOOL = sys.argv.pop(1)
    unittest.main()
