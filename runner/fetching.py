"""Runs in a container: prints its data files as a tar stream. Runs on Python 2.7 and from 3.5 on, without site.

argv[1] is JSON: {"data": the data directory, "move": whether the files are deleted, "aside": data files that no process writes to
any more}. Files of other containers that share the directory are told by the host's name in theirs; with "move", those that
running processes may write to are left alone.
"""

import sys

sys.path[:] = [path for path in sys.path if path]  # not the working directory: that is the application's

import io
import json
import os
import re
import socket
import tarfile

OUTPUT = getattr(sys.stdout, "buffer", sys.stdout)


def main(job):
    folder = os.path.dirname(os.environ.get("COVERAGE_FILE") or "") or job["data"]
    paths = [path for path in own(folder, job) if os.path.isfile(path)]
    archive = tarfile.open(fileobj=OUTPUT, mode="w|")
    for path in paths:
        add(archive, path)
    for path in sorted(set(filter(None, map(origin, paths)))):
        add(archive, path)
    archive.close()
    OUTPUT.flush()
    for path in paths if job["move"] else ():
        os.unlink(path)


def own(folder, job):
    """The container's data files."""
    host = socket.gethostname()
    mark = re.compile(r"^\.coverage\.(?:.*\.)?(?:%s|%s)\.(?:pid)?(\d+)\.[^.]+(?:\.H\w+h)?$" % (re.escape(host), re.escape(host.replace(".", "_"))))
    found = set(job["aside"])
    for name in os.listdir(folder):
        match = mark.match(name)
        if match and not (job["move"] and os.path.exists("/proc/" + match.group(1))):
            found.add(os.path.join(folder, name))
    return sorted(found)


def origin(path):
    """The file that says what image a data file is of, if there is one."""
    folder, name = os.path.split(path)
    match = re.match(r"\.coverage\.image-([0-9a-f]{8})\.", name)
    path = match and os.path.join(folder, ".coverage-image-" + match.group(1))
    return path if path and os.path.isfile(path) else None


def add(archive, path):
    """Add a file as it is at one moment: its process may write to it."""
    for _ in range(20):
        before = os.stat(path)
        with open(path, "rb") as file:
            text = file.read()
        after = os.stat(path)
        if (before.st_mtime, before.st_size) == (after.st_mtime, after.st_size):
            break
    entry = tarfile.TarInfo(os.path.basename(path))
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
