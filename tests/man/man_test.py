#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""man_test.py TOOL: the man page and the completions know every command and option that --help has, and no other."""
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "doc" / "man" / "tcpwhy.1"
BASH = ROOT / "scripts" / "completion" / "tcpwhy.bash"
ZSH = ROOT / "scripts" / "completion" / "_tcpwhy"
LONG = re.compile(r"--[a-z][a-z-]*")


def help_of(*words):
    return subprocess.run([TOOL, *words, "--help"], capture_output=True, text=True, check=True).stdout


def options_in_help(*words):
    """Those that begin a line; in the text around them others may be mentioned."""
    return {option for line in help_of(*words).splitlines() if re.match(r"  +-", line)
            for option in LONG.findall(line.split("  ")[1] if line.startswith("  ") else line)}


def commands_in_help():
    return re.findall(r"^  ([a-z]+) {3,}", help_of().partition("Commands:")[2].partition("Examples:")[0], re.M)


def findings_in_help():
    return set(re.findall(r"^  ([a-z]+(?:-[a-z]+)*) {2,}\S", help_of("trace").partition("--threshold:\n")[2]
                          .partition("Examples:")[0].partition("A file for")[0], re.M))


def sections():
    """Text of each .SH, and of each .SS under its own name."""
    found, name = {}, None
    for line in PAGE.read_text().replace("\\-", "-").splitlines():
        if match := re.match(r"\.S[HS] (.*)", line):
            name = match[1]
        found[name] = found.get(name, "") + line + "\n"
    return found


def tags(text):
    """The options of the lines that follow .TP."""
    return {option for tag in re.findall(r"^\.TP\n(.*)$", text, re.M) for option in LONG.findall(tag)}


class ManPage(unittest.TestCase):
    def test_every_command_has_its_options(self):
        page = sections()
        self.assertGreaterEqual(len(commands_in_help()), 4)
        for command in commands_in_help():
            with self.subTest(command):
                shared = re.search(r"Takes the options of ([A-Z, and\n]+):?", page[command])
                names = re.findall(r"[A-Z]{4,}", shared[1]) if shared else []
                said = tags(page[command]) | {"--help"}
                for name in names:
                    said |= tags(page[name])
                self.assertEqual(said, options_in_help(command))

    def test_the_program_has_its_options(self):
        self.assertEqual(tags(sections()["OPTIONS"]), options_in_help())

    def test_no_section_of_a_command_that_is_none(self):
        under = PAGE.read_text().partition(".SH COMMANDS")[2].partition("\n.SH ")[0]
        self.assertEqual(re.findall(r"^\.SS (.*)$", under, re.M), commands_in_help())

    def test_every_exit_code(self):
        codes = set(re.findall(r"^\.TP\n\.B (\d)$", sections()["EXIT STATUS"], re.M))
        said = {code for command in ("", *commands_in_help())
                for code in re.findall(r"\b(\d) [a-z]", help_of(*command.split()).partition("Exit codes:")[2])}
        self.assertEqual(codes, said)

    def test_every_finding_as_explain_lists_it(self):
        listed = subprocess.run([TOOL, "explain"], capture_output=True, text=True, check=True).stdout
        said = re.findall(r"^  ([a-z-]+) +(\S.*(?:\n {20,}\S.*)*)", listed, re.M)
        page = re.findall(r"^\.TP\n\.B (\S+)\n(.*)$", sections()["FINDINGS"], re.M)
        self.assertGreaterEqual(len(page), 17)
        self.assertEqual(page, [(slug, " ".join(words.split())) for slug, words in said])

    def test_it_formats_without_a_warning(self):
        groff = shutil.which("groff")
        if not groff:
            self.skipTest("needs groff")
        done = subprocess.run([groff, "-ww", "-man", "-Tutf8", "-z", PAGE], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Completion(unittest.TestCase):
    def bash(self, *words):
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tcpwhy; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, "bash", BASH, *words], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split())

    def test_bash_offers_every_option(self):
        for command in commands_in_help():
            with self.subTest(command):
                self.assertEqual(self.bash("tcpwhy", command, "--"), options_in_help(command))
        self.assertEqual(self.bash("tcpwhy", "--"), options_in_help())

    def test_bash_offers_every_command(self):
        self.assertEqual({w for w in self.bash("tcpwhy", "") if not w.startswith("-")}, set(commands_in_help()))

    def test_bash_offers_values(self):
        self.assertEqual(self.bash(TOOL, "trace", "--threshold", ""), {f"{slug}=" for slug in findings_in_help()})
        self.assertEqual(self.bash("tcpwhy", "report", "--severity", "c"), {"critical"})
        self.assertEqual(self.bash("tcpwhy", "trace", "--port", ""), set())
        self.assertEqual(self.bash(TOOL, "explain", ""), findings_in_help())

    def test_zsh_offers_every_option(self):
        text = ZSH.read_text()
        lists = {name: set(LONG.findall(body)) for name, body in re.findall(r"^([a-z]+)=\((.*?)^\)", text, re.M | re.S)}
        for command in commands_in_help():
            with self.subTest(command):
                body = re.search(rf"^_tcpwhy_{command}\(\) {{(.*?)^}}", text, re.M | re.S)[1]
                said = set(LONG.findall(body)).union(*(lists[name] for name in re.findall(r"\$([a-z]+)", body)))
                self.assertEqual(said, options_in_help(command))
        self.assertEqual(set(re.findall(r"^  '([a-z]+):", text, re.M)), set(commands_in_help()))

    def test_zsh_reads_it(self):
        zsh = shutil.which("zsh")
        if not zsh:
            self.skipTest("needs zsh")
        subprocess.run([zsh, "-n", ZSH], check=True)


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
