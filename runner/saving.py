"""Runs in a container: has its measured processes save. Runs on Python 2.7 and from 3.5 on, without site.

argv[1] is JSON: {"timeout": seconds, "reset": a text of its own or "", "data": the image's data directory, "pythons": paths of the
image's interpreters, "only": process IDs or null for all}. Prints {"processes": [{"pid", "command", "file" or "error"}], "refused":
[process IDs that this user may not signal], "dirs": [directories with data]}. The start-up module says how a process is asked.
"""

import sys

sys.path[:] = [path for path in sys.path if path]  # not the working directory: that is the application's

import errno
import json
import os
import signal
import time


def main(job):
    started = time.time()
    namespace = os.stat("/proc/self/ns/pid").st_ino
    asked = [Process(pid, job["data"], namespace) for pid in sorted(measured(job["only"]))]
    requests = request(job["reset"], asked, namespace) if job["reset"] else []
    for process in asked:
        process.forget()
    while True:
        waiting = [process for process in asked if process.waits()]
        if not waiting or time.time() > started + job["timeout"]:
            break
        for process in waiting:
            process.ask(started)
        settle(waiting, started + job["timeout"])
    for path in requests:
        remove(path)
    dirs = sorted(set(path for process in asked for path in process.dirs))
    said = [process.said(job) for process in asked]
    return {
        "processes": [answer for answer in said if answer],
        "refused": [process.pid for process in asked if process.refused],
        "dirs": dirs,
    }


def measured(only):
    """Processes of this container that may have covify's handler: they catch SIGURG, and are none of Go, which catches all."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid() or (only is not None and int(name) not in only):
            continue
        caught = status(name).get("SigCgt", "0")
        if int(caught, 16) >> (signal.SIGURG - 1) & 1 and not int(caught, 16) >> 62 & 1 and is_here(name):
            yield int(name)


def status(pid):
    text = read("/proc/%s/status" % pid)
    return dict(line.split(":\t", 1) for line in text.split("\n") if ":\t" in line)


def is_here(pid):
    """Another container's processes are seen where the containers share a namespace of processes."""
    try:
        if os.stat("/proc/%s/ns/mnt" % pid).st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            return True
    except OSError:
        pass  # another user's
    return read("/proc/%s/cgroup" % pid) == read("/proc/self/cgroup")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except (IOError, OSError, UnicodeDecodeError):
        return ""


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def request(text, asked, namespace):
    """Write the request for a reset where the processes look for it; returns its paths."""
    paths = []
    for folder in sorted(set(path for process in asked for path in process.dirs)):
        path = os.path.join(folder, "covify-reset-%d" % namespace)
        try:
            with open(path + ".new", "w") as file:
                file.write(text)
            os.chmod(path + ".new", 0o644)
            os.rename(path + ".new", path)
        except (IOError, OSError):
            continue  # The process says that it was not reset.
        paths.append(path)
    return paths


def settle(waiting, deadline):
    """Wait a little for answers."""
    until = min(time.time() + 0.1, deadline)
    while time.time() < until and any(process.waits() for process in waiting):
        time.sleep(0.005)


class Process(object):
    def __init__(self, pid, data, namespace):
        self.pid = pid
        self.command = read("/proc/%d/cmdline" % pid).rstrip("\0").replace("\0", " ")
        self.program = self.link("exe")
        self.dirs = self.places(data)
        self.names = [os.path.join(path, "covify-saved-%d-%d" % (namespace, pid)) for path in self.dirs]
        self.refused = self.ended = False
        self.answer = None

    def link(self, name):
        try:
            return os.readlink("/proc/%d/%s" % (self.pid, name))
        except OSError:
            return ""

    def places(self, data):
        """Where the process may have its data: its environment cannot always be read."""
        theirs = [entry[14:] for entry in read("/proc/%d/environ" % self.pid).split("\0") if entry.startswith("COVERAGE_FILE=")]
        known = [path for path in theirs + [os.environ.get("COVERAGE_FILE")] if path]
        folders = [os.path.dirname(os.path.join(self.link("cwd") or "/", path)) for path in known] + [data]
        return [path for path in sorted(set(folders)) if os.path.isdir(path)]

    def forget(self):
        for name in self.names:
            remove(name)

    def ask(self, began):
        self.began = began
        try:
            os.kill(self.pid, signal.SIGURG)
        except OSError as error:
            self.refused = error.errno == errno.EPERM
            self.ended = not self.refused

    def waits(self):
        if self.answer is None:
            self.listen()
        if self.answer is None and status(self.pid).get("State", "Z")[:1] in "ZX":
            self.ended = True
        return self.answer is None and not self.ended and not self.refused

    def listen(self):
        for name in self.names:
            lines = read(name).split("\n")
            if len(lines) > 2 and float(lines[0]) >= self.began:
                self.answer = lines[1]
                remove(name)
                return

    began = 0.0

    def said(self, job):
        """What came of it; None for nothing to speak of."""
        facts = {"pid": self.pid, "command": self.command}
        if self.answer is None:
            stranger = self.program and self.program not in job["pythons"]
            if self.ended or self.refused or stranger:
                return None
            return dict(facts, error="no answer within %g s" % job["timeout"])
        if self.answer.startswith("!"):
            return dict(facts, error=self.answer[1:])
        return dict(facts, file=self.answer)


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
