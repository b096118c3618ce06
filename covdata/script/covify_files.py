"""Finds coverage data files, copies them and says what each one is. Never writes beside an input."""

import collections
import hashlib
import os
import re
import sqlite3
import stat

SCHEMA = 7  # coverage 5.0 and every release since
MAGIC = b"SQLite format 3\0"
JOURNALS = ("-journal", "-wal", "-shm")
SKIPPED_DIRECTORIES = frozenset([".git", "node_modules", "__pycache__"])

# SQLite's file format, "The Rollback Journal": a journal ends with this if it names a super-journal, which a
# roll-back deletes. Data can come from anywhere, so such a journal is not played.
SUPER_JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

# HOST.pidPID.XRANDOMx[.Hhashh], or HOST.PID.RANDOM before coverage 7.4.
SUFFIX = re.compile(r"\.(?P<host>[^/]+)\.(?:pid)?\d+\.(?:X\w{6}x|\d{1,6})(?:\.H\w{10}h)?$")

# "covify run" names the data of an image so, and puts a file beside them that says which it is.
IMAGE = re.compile(r"\.image-([0-9a-f]{8})(?=\.|$)")

Data = collections.namedtuple("Data", "path copy group kind files recovered")


class Unusable(Exception):
    """A file that holds no coverage data that can be read; the text says why."""


def find(inputs, names, skipped):
    """The data files at `inputs` (files, or directories searched to the bottom), sorted, each once.

    `names` are the base names of data files (".coverage"); in a directory a data file is called so, or so and
    a dot and more. `skipped` is one path to leave alone: the combined file.
    """
    found = {}
    for path in inputs:
        if os.path.isdir(path):
            for file in _below(path, names):
                found.setdefault(os.path.realpath(file), file)
        elif os.path.lexists(path):
            found.setdefault(os.path.realpath(path), path)
    found.pop(os.path.realpath(skipped), None)
    return sorted(found.values())


def beside(data_file):
    """The data file and its parallel ones (data_file.*), as coverage itself finds them."""
    folder, base = os.path.split(os.path.abspath(data_file))
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if is_data_name(name, [base])]


def is_data_name(name, bases):
    return any(name == base or name.startswith(base + ".") for base in bases) and not name.endswith(JOURNALS)


def _below(folder, names):
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED_DIRECTORIES)
        for file in files:
            if is_data_name(file, names):
                yield os.path.join(path, file)


def group_of(path):
    """Data files with the same group were written in the same container, as far as their names tell."""
    folder, name = os.path.split(path)
    match = SUFFIX.search(name)
    return (folder, match.group("host")) if match else (folder, "", name)


def origin_file(path):
    """The file that says what image left the data file at `path`, by its name; None if that names none."""
    folder, name = os.path.split(path)
    match = IMAGE.search(name)
    return os.path.join(folder, ".coverage-image-" + match.group(1)) if match else None


def stamps(files):
    """What changes when a data file does: [path, size, mtime] of each and of its journals."""
    known = []
    for file in files:
        for path in [file] + [file + end for end in JOURNALS[:2]]:
            try:
                info = os.stat(path)
            except OSError:
                continue
            known.append([path, info.st_size, info.st_mtime_ns])
    return known


class Reader:
    """Copies data files into `folder` and reads the copies. With `by_folder`, equal files of two folders are two."""

    def __init__(self, folder, by_folder=False):
        self.folder = folder
        self.by_folder = by_folder
        self.hashes = {}
        self.count = 0

    def read(self, path):
        """The Data of `path`, or None if a file with the same bytes was read before; raises Unusable.

        The same bytes mean something else where another image left them.
        """
        self.count += 1
        copy = os.path.join(self.folder, "%06d" % self.count)
        digest = _copy(path, copy), origin_file(path), self.by_folder and os.path.dirname(path)
        journals = _copy_journals(path, copy)
        if not journals:
            if digest in self.hashes:
                os.unlink(copy)
                return None
            _check_size(copy)
        self.hashes[digest] = path
        try:
            if journals:
                _recover(copy)
            kind, files = _inspect(copy)
        except (sqlite3.Error, ValueError) as err:
            raise Unusable("damaged: %s" % err)
        return Data(path, copy, group_of(path), kind, files, journals)


def _copy(path, copy):
    """Copies a regular file and returns the hash of its bytes."""
    digest = hashlib.blake2b()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unusable("not a regular file")
        with open(path, "rb") as source, open(copy, "wb") as target:
            while True:
                block = source.read(1 << 20)
                if not block:
                    return digest.digest()
                digest.update(block)
                target.write(block)
    except FileNotFoundError:
        raise Unusable("not there any more")
    except PermissionError:
        raise Unusable("no permission to read it")


def _copy_journals(path, copy):
    """Copies the journals of a write that did not finish; True if there are any."""
    found = False
    for end in JOURNALS[:2]:
        if not os.path.isfile(path + end) or not os.path.getsize(path + end):
            continue
        _copy(path + end, copy + end)
        with open(copy + end, "rb") as journal:
            journal.seek(max(0, os.path.getsize(copy + end) - len(SUPER_JOURNAL)))
            if journal.read() == SUPER_JOURNAL:
                os.unlink(copy + end)
                raise Unusable("its journal names another file, which is not coverage's doing")
        found = True
    return found


def _recover(copy):
    """Lets SQLite finish or undo the interrupted write, on the copy."""
    connection = sqlite3.connect(copy)
    try:
        connection.execute("select count(*) from sqlite_master").fetchall()
        connection.execute("pragma journal_mode=delete").fetchall()
    finally:
        connection.close()


def _check_size(copy):
    """Raises Unusable for what cannot be a whole SQLite database (its file format, "The Database Header")."""
    size = os.path.getsize(copy)
    with open(copy, "rb") as file:
        head = file.read(100)
    if size == 0:
        raise Unusable("empty: the process ended before it saved")
    if head.startswith(b"!coverage.py: "):
        raise Unusable("data of coverage 4, which no coverage since 5.0 reads")
    if not head.startswith(MAGIC[:size]):
        raise Unusable("not a coverage data file")
    if size < 100:
        raise Unusable("truncated: %d bytes" % size)
    page = int.from_bytes(head[16:18], "big")
    whole = int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)
    if head[24:28] == head[92:96] and size < whole:
        raise Unusable("truncated: %d of %d bytes" % (size, whole))


def _inspect(copy):
    """The kind of data in a copy ("line", "branch", "" for none) and its files, [(path, plugin)]."""
    connection = sqlite3.connect("file:%s?mode=ro&immutable=1" % _quote(copy), uri=True)
    try:
        tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
        if "coverage_schema" not in tables:
            raise Unusable("a database that is not coverage's" if tables else "empty: the process ended before it saved")
        version = connection.execute("select version from coverage_schema").fetchone()
        if version is None or version[0] != SCHEMA:
            raise Unusable("data schema %s, coverage reads %d" % (version[0] if version else "missing", SCHEMA))
        fault = connection.execute("pragma quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise Unusable("damaged: %s" % fault)
        arcs = connection.execute("select value from meta where key = 'has_arcs'").fetchone()
        files = connection.execute(
            "select file.path, coalesce(tracer.tracer, '') from file left join tracer on tracer.file_id = file.id"
        ).fetchall()
    finally:
        connection.close()
    if not all(isinstance(path, str) for path, _ in files):
        raise Unusable("damaged: it names a file that is no text")
    kind = "" if arcs is None else ("branch" if int(arcs[0]) else "line")
    return kind, files


def _quote(path):
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
