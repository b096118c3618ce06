"""Runs a command on a terminal of its own, types Ctrl-C once it has printed "ready", and prints what it printed and its exit code.

usage: terminal.py COMMAND [ARG...]
"""

import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
typed = False
while True:
    try:
        more = os.read(terminal, 1024)
    except OSError:  # how Linux says that the other end is closed
        break
    text += more
    if b"ready" in text and not typed:
        typed = True
        os.write(terminal, b"\x03")
print(text.decode().replace("\r", ""))
print("exit code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
