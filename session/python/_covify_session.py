"""Starts coverage in a process of this machine that runs below `covify test`. Runs on Python 2.7 and from 3.5 on.

Beside it are _covify.py, which starts coverage in containers too, and the file `command`: argv of what prints the folder that
holds coverage for an interpreter without one of its own. The data go to the folder `host` beside this folder.
"""

import os
import sys

import _covify

_HERE = os.path.dirname(os.path.abspath(__file__))
_HOST = os.path.join(os.path.dirname(_HERE), "host")


def start():
    """Start coverage unless a .pth file has; say in one line why not if that fails."""
    try:
        if _covify._is_tracker():
            return
        coverage = _coverage()
        early = getattr(coverage.process_startup, "coverage", None)
        if early is None:
            _begin(coverage)
        if sys.version_info >= (3, 8):
            if early is not None:
                _covify._guard.__code__ = _covify._unmeasured(_covify._guard.__code__)
                _covify._guard(early)
            _Keeper.save.__code__ = _covify._unmeasured(_Keeper.save.__code__)
            _Keeper.keep.__code__ = _covify._unmeasured(_Keeper.keep.__code__)
        _Keeper(coverage.Coverage)
        _leave_out_hook()
        if os.path.exists(os.path.join(_HERE, "contexts")):
            _mark_lines(coverage)
    except Exception as error:
        with _variable("COVERAGE_FILE", os.path.join(_HOST, ".coverage")):
            _covify._say("%s: %s" % (type(error).__name__, error))


def _mark_lines(coverage):
    """Have each line know which process ran it, whoever measures in this one."""
    kind = coverage.Coverage
    original, mark, who = kind.start, _mark, "host " + _program()

    def start(measured):
        original(measured)
        mark(measured, who)

    if sys.version_info >= (3, 8):
        _mark.__code__ = _covify._unmeasured(_mark.__code__)
        start.__code__ = _covify._unmeasured(start.__code__)
    kind.start = start
    started = getattr(coverage.process_startup, "coverage", None)
    if started is not None:
        mark(started, who)


def _mark(measured, who):
    """Set coverage's static context: the user's own, and who runs the lines."""
    try:
        if measured.config.context:
            who = measured.config.context + " " + who
        measured._collector.use_data(measured._data, who)
    except Exception:
        pass  # A coverage that does it in another way: its lines go unmarked.


def _program():
    """What this process runs, as its user calls it: a script's path in the project, a module, or "python -c"."""
    words = iter(_covify._argv()[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            return _script(word)
        letters = "" if word.startswith("--") else word[1:]
        for at, letter in enumerate(letters):
            if letter in "cmWX":
                value = letters[at + 1 :] or next(words, "")
                if letter in "cm":
                    return value if letter == "m" else "python -c"
                break
    return "python"


def _script(word):
    path, root = os.path.abspath(word), os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))
    if path.startswith(root + os.sep) and os.sep + "bin" + os.sep not in path:
        return path[len(root) + 1 :]
    return os.path.basename(path)


def _leave_out_hook():
    """Have settings that coverage hands to subprocesses (patch = subprocess) leave out this folder, whose code runs there too."""
    from coverage import config

    original = getattr(config.CoverageConfig, "serialize", None)
    if original is None:
        return

    def serialize(settings):
        before = settings.run_omit
        settings.run_omit = list(before or []) + [os.path.join(_HERE, "*")]
        try:
            return original(settings)
        finally:
            settings.run_omit = before

    config.CoverageConfig.serialize = serialize


def _begin(coverage):
    """Start coverage. Whoever set COVERAGE_PROCESS_CONFIG (coverage's patch = subprocess) waits for the data himself."""
    data = None if os.environ.get("COVERAGE_PROCESS_CONFIG") else os.path.join(_HOST, ".coverage")
    config = os.environ.get("COVERAGE_PROCESS_START")
    old = config + "-old" if config and coverage.version_info < (6,) else None
    with _variable("COVERAGE_FILE", data), _variable("COVERAGE_PROCESS_START", old), _variable("COVIFY_CHILD", "1"):
        _covify.start()


class _variable(object):
    """Sets an environment variable for a while; None leaves it."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __enter__(self):
        self.before = os.environ.get(self.name)
        if self.value is not None:
            os.environ[self.name] = self.value

    def __exit__(self, *_):
        if self.value is None:
            return
        if self.name == "COVIFY_CHILD":  # _covify leaves it to children, out of this process's sight
            return
        if self.before is None:
            del os.environ[self.name]
        else:
            os.environ[self.name] = self.before


def _coverage():
    """The interpreter's own coverage, else the one that covify brings for it."""
    try:
        import coverage

        if hasattr(coverage, "process_startup"):
            return coverage
        del sys.modules["coverage"]  # a folder of that name
    except ImportError:
        pass
    folder = _payload()
    sys.path.insert(0, folder)
    try:
        import coverage
    finally:
        sys.path.remove(folder)
    sys.path.append(folder)
    return coverage


def _payload():
    suffix = _suffix()
    known = os.path.join(_HERE, "coverage" + suffix)
    try:
        with open(known) as file:
            return file.read()
    except (IOError, OSError):
        pass
    import subprocess

    with open(os.path.join(_HERE, "command")) as file:
        argv = file.read().split("\0")
    argv += ["%d.%d" % sys.version_info[:2], suffix]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(err.decode("utf-8", "replace").strip().replace("\n", "; "))
    folder = out.decode("utf-8").strip()
    partial = "%s.%d" % (known, os.getpid())
    try:
        with open(partial, "w") as file:
            file.write(folder)
        os.rename(partial, known)
    except (IOError, OSError):
        pass  # of another user, who asks again
    return folder


def _suffix():
    """What names of extension modules end with: it tells the ABI."""
    if sys.version_info < (3,):
        return ""
    import _imp

    return _imp.extension_suffixes()[0]


class _Keeper(object):
    """Keeps a copy of what anybody saves in this process through coverage's API: pytest-cov, `coverage run`, `coverage combine`.

    Wherever it goes, and whatever becomes of it, the session has it.
    """

    def __init__(self, kind):
        original, keep = kind.save, self.keep

        def save(measured):
            return _Keeper.save(original, keep, measured)

        if sys.version_info >= (3, 8):
            save.__code__ = _covify._unmeasured(save.__code__)
        kind.save = save

    @staticmethod
    def save(original, keep, measured):
        result = original(measured)
        try:
            keep(measured.get_data().data_filename())
        except Exception:
            pass  # the file is where its writer wants it, and is looked for there
        return result

    @staticmethod
    def keep(path):
        path = os.path.abspath(path)
        if os.path.dirname(path) == _HOST or not os.path.isfile(path):
            return
        name = "kept-%d-%08x" % (os.getpid(), hash(path) & 0xFFFFFFFF)
        partial = os.path.join(_HOST, name)
        with open(path, "rb") as source, open(partial, "wb") as target:
            while True:
                block = source.read(1 << 20)
                if not block:
                    break
                target.write(block)
        os.rename(partial, os.path.join(_HOST, ".coverage." + name))
