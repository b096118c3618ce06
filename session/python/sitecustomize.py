"""Measures a process below `covify test`, then makes way for the sitecustomize further down the path, if there is one.

Python imports this because the session's folder is first on PYTHONPATH. Runs on Python 2.7 and from 3.5 on; whatever goes wrong
with the measuring leaves the program as it would be without.
"""


def _hidden():
    """Take this folder off sys.path; return the start-up function that is in it, or None if nobody asks for it."""
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    try:
        if os.environ.get("COVERAGE_PROCESS_START") or os.environ.get("COVERAGE_PROCESS_CONFIG"):
            import _covify_session

            return _covify_session.start
    except Exception as error:
        sys.stderr.write("covify: no coverage of process %d: %s\n" % (os.getpid(), error))
    finally:
        sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    return None


def _theirs():
    """Import the sitecustomize that this one hides; its errors are its own."""
    import sys

    mine = sys.modules.pop(__name__)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize" or "sitecustomize" not in str(error):
            raise
    finally:
        sys.modules.setdefault(__name__, mine)


_start = _hidden()
try:
    _theirs()
finally:
    if _start:
        _start()
