"""Starts coverage in a process that asks for it, or says in one line why it could not.

Called once per process by coverage.pth (Python up to 3.14) or coverage.start (PEP 829, from 3.15). Whatever goes wrong here must
leave the application running as if covify were not there: no exception leaves start(). Runs on Python 2.7 and from 3.5 on.
"""

import os
import sys

_started = False
_CHILD = "COVIFY_CHILD"


def start():
    """Start coverage if COVERAGE_PROCESS_START or COVERAGE_PROCESS_CONFIG is set and not empty.

    As `coverage run` does, the first process of a family is measured from its program on, without sitecustomize and
    usercustomize; what a measured process starts is measured from here on, as by coverage's own .pth file.
    """
    global _started
    config = os.environ.get("COVERAGE_PROCESS_START") or os.environ.get("COVERAGE_PROCESS_CONFIG")
    if _started or not config or _is_tracker():
        return
    _started = True
    try:
        child = os.environ.pop(_CHILD, None)
        os.putenv(_CHILD, "1")  # Children inherit it, this process does not see it in os.environ.
        if child or not _after_site(lambda: _try(config)):
            _try(config)
    except Exception as error:
        _say("%s: %s" % (type(error).__name__, error))


def _is_tracker():
    """Tell whether this is multiprocessing's resource tracker, which runs nothing but the standard library.

    It ends after its parent, so that in a container whose first process the parent is, it is killed as it saves.
    """
    return any(argument.startswith("from multiprocessing.resource_tracker import main") for argument in _argv())


def _after_site(begin):
    """Have begin called at the end of site.main(); return False if that is not what is running."""
    site = sys.modules.get("site")
    frame = sys._getframe()
    while frame and not (frame.f_code.co_name == "main" and frame.f_globals.get("__name__") == "site"):
        frame = frame.f_back
    if not (site and frame):
        return False

    def follow(name, after):
        original = getattr(site, name)

        def run():
            setattr(site, name, original)
            try:
                original()
            finally:
                after()

        setattr(site, name, run)

    follow("execsitecustomize", lambda: follow("execusercustomize", begin) if site.ENABLE_USER_SITE else begin())
    return True


def _try(config):
    """Start coverage, or say why not."""
    try:
        problem = _start(config)
    except (Exception, SystemExit) as error:  # coverage leaves so if COVERAGE_CORE asks for a tracer it lacks.
        problem = "%s: %s" % (type(error).__name__, error)
    if problem:
        _say(problem)


def _start(config):
    """Start coverage; return None, or what keeps the data from being written."""
    data = os.environ.get("COVERAGE_PROCESS_CONFIG")
    if data is None:
        # coverage reports an unreadable config file as one that does not exist, or with a traceback.
        try:
            open(config).close()
        except (IOError, OSError) as error:
            return "the coverage config %s is not readable: %s" % (config, error.strerror)
    coverage = _import_coverage()
    import warnings

    with warnings.catch_warnings():
        # An older coverage does not know all settings, and a payload without the C tracer is so on purpose.
        warnings.filterwarnings("ignore", message=r".*Unrecognized option '\[run\] (patch|sigterm)='")
        warnings.filterwarnings("ignore", message="Couldn't import C tracer: No module named")
        # Known beforehand, since what was started cannot be undone: it would fail at exit, with a traceback.
        where = os.environ.get("COVERAGE_FILE")
        if not where:
            where = coverage.Coverage(config_file=config if data is None else ":data:" + data).config.data_file
        where = os.path.dirname(os.path.abspath(where))
        if os.path.isdir(where) and not os.access(where, os.W_OK | os.X_OK):
            return "the data directory %s is not writable for UID %d" % (where, os.getuid())
        _on_demand.__code__ = _unmeasured(_on_demand.__code__)
        guarded = sys.version_info >= (3, 8)
        if guarded:
            _guard.__code__ = _unmeasured(_guard.__code__)
        measured = coverage.process_startup()  # None if another .pth file was first
    keep = _on_demand(coverage, measured or getattr(coverage.process_startup, "coverage", None), where)
    if guarded and measured is not None:
        _guard(measured, keep)
    return None


def _unmeasured(code):
    """The same code, from no file: what runs beside the program is not measured with it."""
    constants = tuple(_unmeasured(c) if isinstance(c, type(code)) else c for c in code.co_consts)
    if hasattr(code, "replace"):
        return code.replace(co_filename="<covify>", co_consts=constants)
    names = "argcount kwonlyargcount nlocals stacksize flags code consts names varnames filename name firstlineno lnotab freevars cellvars"
    parts = dict((name, getattr(code, "co_" + name)) for name in names.split() if hasattr(code, "co_" + name))
    parts.update(filename="<covify>", consts=constants)
    return type(code)(*(parts[name] for name in names.split() if name in parts))


def _import_coverage():
    """Import the image's own coverage if there is one, else the payload's.

    site adds the directory of the hook before those it reads after it: Debian's own packages are in such a one.
    """
    before = list(sys.path)
    here = os.path.dirname(__file__)
    sys.path[:] = [path for path in before if path != here] + _later_sites() + [here]
    try:
        import coverage
    finally:
        sys.path[:] = before
    return coverage


def _later_sites():
    """The interpreter's site directories that are not on sys.path yet. A venv may be closed to them."""
    listed = getattr(sys.modules.get("site"), "getsitepackages", list)
    if sys.prefix != getattr(sys, "base_prefix", sys.prefix):
        return []
    return [path for path in listed() if path not in sys.path]


def _on_demand(coverage, measured, where):
    """Have SIGURG make this process write what it measured, and go on measuring; return a function that does it.

    A process that does not know of this ignores that signal. Whoever sends it finds a file covify-saved-NAMESPACE-PID in the
    directory where: when the save began, and on a second line the data file, or "!" and why there is none. There is no file if the
    signal came while coverage was at work on its data: he sends it again. A file covify-reset-NAMESPACE in that directory has
    the process measure from nothing afterwards, once for each text in it; what ran until then stays in a data file of its own.

    Nothing that other threads do meanwhile is lost: coverage would write a copy of its data and then throw the data away, so here
    it works on a copy of itself. The files that it keeps are not renamed by their content until the process ends.
    """
    if measured is None or not os.path.exists("/proc/self/ns/pid"):
        return None
    import re
    import signal
    import threading
    import time

    home = os.path.dirname(os.path.abspath(coverage.__file__))
    inside = [os.path.join(home, name) for name in ("control.py", "collector.py", "sqldata.py")]
    deferred = [getattr(signal, "SIG" + name) for name in "ALRM CHLD HUP INT IO PROF QUIT TERM USR1 USR2 VTALRM WINCH".split()]
    forking = threading.RLock()
    busy, resets = [], [None]

    def snapshot(collector, taken):
        for name, seen in collector.data.copy().items():
            taken[name] = seen.copy()
        copy = object.__new__(type(collector))
        copy.__dict__.update(collector.__dict__, data=taken, cached_mapped_file=collector.cached_mapped_file, _clear_data=lambda: None)
        del copy.__dict__["flush_data"]
        return copy

    def write(running, taken):
        collector, data = running._collector, running._data
        if data is not None and "_choose_filename" not in data.__dict__:
            choose = data._choose_filename

            def anew():
                data._has_lines = data._has_arcs = False  # of the file before, also after a fork
                choose()

            data._choose_filename = anew
        quiet = {"_warn_no_data": False, "_warn_unimported_source": False}
        before = dict((name, getattr(running, name)) for name in quiet)
        running.__dict__.update(quiet)
        if collector is not None:
            collector.flush_data = lambda: snapshot(collector, taken).flush_data()
        try:
            return running.get_data()
        finally:
            running.__dict__.update(before)
            if collector is not None:
                del collector.flush_data

    def begin_anew(collector, data, taken):
        path = data.data_filename()
        data._reset()
        data._choose_filename()
        data._wrote_hash = False
        aside = re.sub(r"\.H\w{10}h$", "", path)  # of what was in it once
        if data.data_filename() == path:
            aside = "%s.%s.pid%d.X%06dx" % (path, os.uname()[1].replace(".", "_"), os.getpid(), int(time.time() * 1e6) % 1000000)
        os.rename(path, aside)
        for name, seen in taken.items():
            live = collector.data[name]
            if isinstance(live, set):
                live.difference_update(seen)
            else:
                for key in seen:
                    live.pop(key, None)
        if collector.tracer_name() == "SysMonitor":
            sys.monitoring.restart_events()
        return aside

    def wanted_reset():
        try:
            with open(os.path.join(where, "covify-reset-%d" % namespace())) as request:
                text = request.read()
        except (IOError, OSError):
            return False
        known, resets[0] = resets[0], text
        return text != known

    def namespace():
        return os.stat("/proc/self/ns/pid").st_ino

    def save(reset):
        running, taken = coverage.Coverage.current() or measured, {}
        data = write(running, taken)
        path = data.data_filename()
        if data._pid != os.getpid() or not os.path.exists(path):
            return ""  # Nothing was measured yet.
        return begin_anew(running._collector, data, taken) if reset else path

    def keep(frame, reset=lambda: False):
        while frame is not None:
            if frame.f_code.co_filename in inside:
                return None
            frame = frame.f_back
        if busy == [os.getpid()] or not forking.acquire(False):
            return None
        busy[:] = [os.getpid()]
        try:
            return save(reset())
        finally:
            busy[:] = []
            forking.release()

    def on_urgent(number, frame):
        masked = hasattr(signal, "pthread_sigmask") and signal.pthread_sigmask(signal.SIG_BLOCK, deferred)
        try:
            asked(frame)
        finally:
            if masked is not False:
                signal.pthread_sigmask(signal.SIG_SETMASK, masked)  # What their handlers raise is the program's.

    def asked(frame):
        began = time.time()
        try:
            try:
                said = keep(frame, wanted_reset)
            except Exception as error:
                said = "!%s: %s" % (type(error).__name__, str(error).replace("\n", " "))
            if said is not None:
                answer("%r\n%s\n" % (began, said))
        except Exception:
            pass  # He who asked hears nothing, and says so.

    def answer(text):
        path = os.path.join(where, "covify-saved-%d-%d" % (namespace(), os.getpid()))
        with open(path + ".new", "w") as file:
            file.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def after_fork_in_child():
        del busy[:]
        forking.release()

    try:
        if signal.getsignal(signal.SIGURG) == signal.SIG_DFL:
            signal.signal(signal.SIGURG, on_urgent)
            if sys.version_info < (3, 5):
                signal.siginterrupt(signal.SIGURG, False)  # Nothing there tries again what a signal cut short.
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=forking.acquire, after_in_parent=forking.release, after_in_child=after_fork_in_child)
    except ValueError:
        pass  # This is not the main thread.
    return keep


def _guard(measured, keep=None):
    """Make coverage's handler of SIGTERM safe for multiprocessing.Pool, which sends that signal at any moment.

    Without a handler the signal ends the process at once. With one, Python forgets a signal that reaches a child before
    os.fork returns there, and glibc's sem_wait sleeps on if the signal comes just as it wakes: the Pool then waits for that
    child for ever. And a save must not be cut short by the handler, nor the handler's own by a second signal.
    """
    import signal
    import threading

    handler = signal.getsignal(signal.SIGTERM)
    if getattr(handler, "__self__", None) is not measured:
        return
    save, saving, late, masks = measured.save, [], [], {}

    def on_sigterm(number, frame):
        if saving:
            late.append(number)
        elif keep is not None and os.getpid() == 1 and measured._old_sigterm == signal.SIG_DFL:
            ignored(frame)
        else:
            handler(number, frame)

    def ignored(frame):
        """The first process of a container is not ended by the signal: it goes on, and so does its measuring."""
        try:
            keep(frame)
        except Exception:
            pass

    def save_whole():
        saving.append(True)
        try:
            save()
        except Exception as error:
            if sys._getframe(1).f_code.co_name != "_atexit":
                raise  # The program saves by itself.
            _say("%s: %s" % (type(error).__name__, error))
        finally:
            saving.pop()
            if late and not saving:
                del late[:]
                os.kill(os.getpid(), signal.SIGTERM)

    def before_fork():
        masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def after_fork():
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop(threading.get_ident()))

    def after_fork_in_child():
        del saving[:], late[:]  # They were of other threads.
        after_fork()
        synchronize = sys.modules.get("multiprocessing.synchronize")
        if synchronize is not None:
            synchronize.SemLock.__enter__ = enter

    def enter(lock):
        while not lock._semlock.acquire(True, 0.5):
            pass  # Python calls the handler here.
        return True

    measured.save = save_whole
    signal.signal(signal.SIGTERM, on_sigterm)
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=after_fork_in_child)


def _say(problem):
    """Write one line to stderr, and a note beside the data files for whoever looks for data that never came."""
    line = "covify: no coverage of process %d (%s): %s" % (os.getpid(), " ".join(_argv()), problem)
    line = line.replace("\n", " ")
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
    """The command line, which sys does not hold in full, or not yet, in versions before 3.10."""
    listed = getattr(sys, "orig_argv", None)
    if not listed:
        try:
            with open("/proc/self/cmdline") as cmdline:
                listed = cmdline.read().rstrip("\0").split("\0")
        except Exception:
            listed = getattr(sys, "argv", None) or [sys.executable or "python"]
    return listed
