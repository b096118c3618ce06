"""Tells what a process of this container's user finds of covify's hook. Runs on Python 2.7 and from 3.5 on, as `python -c`.

Arguments: the data directory, and the settings that measured processes are started with, "" if there are none. Prints one line,
"covify-doctor:" and JSON. It runs without COVERAGE_PROCESS_START, so that it is not measured itself.
"""

import json
import os
import sys
import time


def main(data, config):
    out = {"uid": os.getuid(), "time": time.time(), "python": "%d.%d" % sys.version_info[:2]}
    out["hook"] = problem(lambda: __import__("_covify"))
    out["coverage"] = problem(lambda: out.update(version=__import__("coverage").__version__))
    if config:
        out["config"] = problem(lambda: open(config).close()) or problem(lambda: settings(config))
    out["data"] = problem(lambda: write(data))
    try:
        free = os.statvfs(data)
        out["room"] = {"bytes": free.f_bavail * free.f_frsize, "inodes": free.f_files, "free": free.f_ffree}
        out["files"] = files(data)
    except OSError:
        pass
    out["processes"] = list(processes())
    print("covify-doctor:" + json.dumps(out))


def problem(act):
    """Return why act() fails, "" if it does not."""
    try:
        act()
    except (Exception, SystemExit) as error:
        return "%s: %s" % (type(error).__name__, error)
    return ""


def settings(config):
    __import__("coverage").Coverage(config_file=config)


def write(data):
    name = os.path.join(data, ".covify-probe-%d" % os.getpid())
    with open(name, "w"):
        pass
    os.remove(name)


def files(data):
    """Count the data files in a directory; add the notes in it."""
    found = {"data": 0, "notes": []}
    for name in os.listdir(data):
        if name.startswith("covify-note-"):
            with open(os.path.join(data, name)) as note:
                found["notes"].append(note.read().strip())
        elif (name == ".coverage" or name.startswith(".coverage.")) and not name.endswith(("-journal", "-wal", "-shm")):
            found["data"] += 1
    return found


def processes():
    """Give every process of the container but this one; variables are those of processes of this user."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/cmdline" % name) as file:
                argv = file.read().rstrip("\0").split("\0")
        except (IOError, OSError):
            continue
        one = {"pid": int(name), "argv": argv}
        try:
            with open("/proc/%s/environ" % name) as file:
                one["env"] = [entry for entry in file.read().split("\0") if entry.startswith("COVERAGE_")]
        except (IOError, OSError, UnicodeError):
            pass
        yield one


main(sys.argv[1], sys.argv[2])
