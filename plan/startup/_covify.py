"""Starts coverage in a process that asks for it, or says in one line why it could not.

Called once per process by coverage.pth (Python up to 3.14) or coverage.start (PEP 829, from 3.15). Whatever goes wrong here must
leave the application running as if covify were not there: no exception leaves start(). Runs on Python 2.7 and from 3.5 on.
"""

import os
import sys

_started = False


def start():
    """Start coverage if COVERAGE_PROCESS_START or COVERAGE_PROCESS_CONFIG is set and not empty."""
    global _started
    config = os.environ.get("COVERAGE_PROCESS_START") or os.environ.get("COVERAGE_PROCESS_CONFIG")
    if _started or not config:
        return
    _started = True
    try:
        problem = _start(config)
    except Exception as error:
        problem = "%s: %s" % (type(error).__name__, error)
    if problem:
        _say(problem)


def _start(config):
    """Start coverage; return None, or what keeps the data from being written."""
    import coverage

    if os.environ.get("COVERAGE_PROCESS_CONFIG") is None:
        # coverage reports an unreadable config file as one that does not exist, or with a traceback.
        try:
            open(config).close()
        except (IOError, OSError) as error:
            return "the coverage config %s is not readable: %s" % (config, error.strerror)
    measured = _process_startup(coverage)
    if measured is None:
        return None  # Another .pth file was first.
    where = os.path.dirname(os.path.abspath(measured.config.data_file))
    if not os.access(where, os.W_OK | os.X_OK):
        return "the data directory %s is not writable for UID %d" % (where, os.getuid())
    return None


def _process_startup(coverage):
    """Call coverage.process_startup, without the warnings of an older coverage about settings it does not know yet."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*Unrecognized option '\[run\] (patch|sigterm)='")
        return coverage.process_startup()


def _say(problem):
    """Write one line to stderr, and a note beside the data files for whoever looks for data that never came."""
    line = "covify: no coverage of process %d (%s): %s" % (os.getpid(), " ".join(_argv()), problem.replace("\n", " "))
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except Exception:
        pass  # A process may have no stderr.
    try:
        where = os.path.dirname(os.environ.get("COVERAGE_FILE") or "/app/coverage_data/.coverage")
        with open(os.path.join(where, "covify-note-%d" % os.getpid()), "w") as note:
            note.write(line + "\n")
    except Exception:
        pass  # The directory may be the problem that the line speaks of.


def _argv():
    """The command line, which sys does not hold yet while site runs in older versions."""
    return getattr(sys, "orig_argv", None) or getattr(sys, "argv", None) or [sys.executable or "python"]
