"""Runs a command on a terminal of its own, types each time it has printed "ready", and prints what it printed and its exit code.

It types Ctrl-C, or the words in TYPE one after the other. A command that stops itself, as Ctrl-Z has it do, is continued and that said.

usage: terminal.py COMMAND [ARG...]
"""

import os
import pty
import select
import signal
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
words = [word.encode() for word in os.environ.get("TYPE", "\x03").split("|")]
typed = 0
status = None
while True:
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            text += os.read(terminal, 1024)
        except OSError:  # how Linux says that the other end is closed
            break
    if text.count(b"ready") > typed and typed < len(words):
        os.write(terminal, words[typed])
        typed += 1
    if status is None:
        changed, how = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if changed and os.WIFSTOPPED(how):
            text += b"stopped\n"
            os.kill(pid, signal.SIGCONT)
        elif changed:
            status = how
if status is None:
    status = os.waitpid(pid, 0)[1]
print(text.decode().replace("\r", ""))
print("exit code", os.waitstatus_to_exitcode(status))
