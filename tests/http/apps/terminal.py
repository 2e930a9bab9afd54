"""Runs a command on a terminal of its own, as a person does, and answers what it asks.

Reads {"command": […], "answers": […]}: each answer is typed once a prompt stands at the end of what was shown. Prints {"code", "text"}.
"""

import json
import os
import pty
import sys
import termios
import time


def main():
    asked = json.load(sys.stdin)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("NO_COLOR", None)
        os.execv(asked["command"][0], asked["command"])
    answers, text = list(asked.get("answers", [])), b""
    while True:
        try:
            shown = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody holds the other side any more
            break
        if not shown:
            break
        text += shown
        if answers and text.endswith(b": "):
            # A person begins to type once the terminal shows nothing of it.
            while termios.tcgetattr(terminal)[3] & termios.ECHO:
                time.sleep(0.001)
            os.write(terminal, answers.pop(0).encode() + b"\r")
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "text": text.decode(), "unasked": answers}


print(json.dumps(main()))
