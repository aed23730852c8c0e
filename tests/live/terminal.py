# SPDX-License-Identifier: GPL-2.0-only
"""A terminal for full-screen programs: tmux, whose server belongs to one test alone."""
import os
import pathlib
import shlex
import subprocess
import tempfile
import time


class Terminal:
    """with Terminal([tool, "top"], columns=80, rows=24) as terminal: ..."""

    def __init__(self, argv, columns=80, rows=24, env=None):
        self._folder = tempfile.TemporaryDirectory(prefix="tcpwhy-terminal-")
        self._socket = pathlib.Path(self._folder.name) / "tmux"
        self.errors = pathlib.Path(self._folder.name) / "stderr"
        code = pathlib.Path(self._folder.name) / "code"
        self._code = code
        modes = pathlib.Path(self._folder.name) / "modes"
        self._modes = modes
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in (env or {}).items())
        command = " ".join(shlex.quote(str(word)) for word in argv)
        # What the shell finds when the program has ended, or was stopped, is what the user finds. It has job control:
        # without, nobody could be stopped.
        script = (f"stty -g >{modes}.before; env {settings} {command} 2>{self.errors}; code=$?; "
                  "if [ -n \"$(jobs -s)\" ]; then echo STOPPED; read; fg >/dev/null; code=$?; fi; "
                  f"echo $code >{code}.new; stty -g >{modes}.after; mv {code}.new {code}; exec sleep 1000")
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "bash", "-mc", script)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tmux("kill-server")
        self._folder.cleanup()

    def _tmux(self, *words):
        done = subprocess.run(["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, check=True,
                              env=dict(os.environ, LC_ALL="C.UTF-8"))
        return done.stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def keys(self, *keys):
        """As tmux names them: "q", "Enter", "Escape", "Down", "C-z"."""
        self._tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def asks(self, name):
        """What tmux knows of the terminal: alternate_on, cursor_flag ..."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def tool_pid(self):
        """Of the program: the shell's only child."""
        shell = self._tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    def wait(self, condition, what, limit_s=30):
        """Until condition(screen) holds; gives that screen."""
        end = time.monotonic() + limit_s
        while True:
            screen = self.screen()
            if condition(screen):
                return screen
            said = self.errors.read_text() if self.errors.exists() else ""
            assert time.monotonic() < end, f"never on the screen: {what}\n{screen}\nstderr:\n{said}"
            time.sleep(0.05)

    def wait_for(self, text, limit_s=30):
        return self.wait(lambda screen: text in screen, text, limit_s)

    def wait_end(self, limit_s=15):
        """The exit code."""
        self.wait(lambda _: self._code.exists(), "the end", limit_s)
        return int(self._code.read_text())

    def is_restored(self):
        modes = [pathlib.Path(f"{self._modes}.{when}").read_text() for when in ("before", "after")]
        return modes[0] == modes[1] and self.asks("alternate_on") == "0" and self.asks("cursor_flag") == "1"
