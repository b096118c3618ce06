"""Saves on demand in the way named; every line marked KEPT runs, also where the process is killed right after a save."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

FOLDER = os.path.dirname(os.environ["COVERAGE_FILE"])


def place(name):
    return os.path.join(FOLDER, "covify-%s-%d" % (name, os.stat("/proc/self/ns/pid").st_ino))


def answer():
    return "%s-%d" % (place("saved"), os.getpid())


def ask():
    """Asks this process to save as covify does, from within, and returns what it answers."""
    if os.path.exists(answer()):
        os.unlink(answer())
    deadline = time.time() + 10
    while time.time() < deadline:
        os.kill(os.getpid(), signal.SIGURG)
        again = time.time() + 0.1
        while time.time() < again:
            if os.path.exists(answer()):
                with open(answer()) as file:
                    return file.read().split("\n")[1]
            time.sleep(0.001)
    raise SystemExit("no answer")


def work():
    return "work"  # KEPT


def more():
    return "more"  # KEPT by forked


def many(count):
    """Threads begin and run new lines all the while."""
    import many

    def run(names):
        for name in names:
            getattr(many, name)(3)
            time.sleep(0.002)

    threads = []
    names = sorted(name for name in dir(many) if name.startswith("f"))
    for _ in range(count):
        if names:
            threads.append(threading.Thread(target=run, args=(names[:10],)))
            threads[-1].start()
            names = names[10:]
        if "ask" in sys.argv:
            ask()
    for thread in threads:
        thread.join()
    for name in names:
        getattr(many, name)(3)


def itself(count):
    """The program saves by coverage's own means all the while that it is told to."""
    import coverage
    import many

    pester = subprocess.Popen(["sh", "-c", "while kill -URG %d; do sleep 0.001; done" % os.getpid()])
    for name in sorted(name for name in dir(many) if name.startswith("f"))[:count]:
        getattr(many, name)(3)
        coverage.Coverage.current().save()
    pester.kill()
    pester.wait()
    ask()
    os.kill(os.getpid(), signal.SIGKILL)


def killed():
    work()
    ask()
    os.kill(os.getpid(), signal.SIGKILL)


def forked():
    ask()
    for _ in range(2):
        if os.fork() == 0:
            more()
            ask()
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()
    work()
    if os.fork() == 0:
        sys.exit()  # saves at its end
    os.wait()


def own():
    got = []
    signal.signal(signal.SIGURG, lambda *args: got.append(args))
    os.kill(os.getpid(), signal.SIGURG)
    time.sleep(0.05)
    print(len(got), os.path.exists(answer()))


def before():
    got = signal.getsignal(signal.SIGURG)
    print(got.__name__)


def reset():
    """Prints what each data file of a child holds, in the order of their writing."""
    import coverage

    environ = dict(os.environ, COVERAGE_FILE=os.path.join(FOLDER, "reset", ".coverage"))
    os.mkdir(os.path.join(FOLDER, "reset"))
    subprocess.check_call([sys.executable, "saves.py", "parts"], env=environ)
    found = []
    for entry in sorted(os.scandir(os.path.join(FOLDER, "reset")), key=lambda entry: entry.stat().st_mtime_ns):
        if entry.name.startswith(".coverage"):
            data = coverage.CoverageData(entry.path)
            data.read()
            found += [sorted(data.lines(path)) for path in data.measured_files() if path.endswith("many.py")]
    print(json.dumps(found))


def parts():
    """Runs f000 to f003, the first and the last twice, with a reset in between."""
    import many

    many.f000(1), many.f001(1), many.f003(1)
    with open(place("reset"), "w") as file:
        file.write("the first")
    ask()
    ask()  # the same request again: it was obeyed
    many.f000(1), many.f002(1), many.f003(1)


class Alarm(Exception):
    pass


def spin(deadline):
    while time.time() < deadline:
        pass


def alarms():
    """Exceptions of the program's own handlers reach the program, also while it saves."""

    def raising(*_):
        raise Alarm

    signal.signal(signal.SIGALRM, raising)
    lost = 0
    pester = subprocess.Popen(["sh", "-c", "while kill -URG %d; do sleep 0.003; done" % os.getpid()])
    for _ in range(50):
        deadline = time.time() + 2
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.004)
            spin(deadline)
            lost += 1
        except Alarm:
            pass
    pester.kill()
    print("lost", lost, os.path.exists(answer()))


def waits():
    """Blocking calls go on undisturbed, and processes save in them."""
    import asyncio
    import select
    import socket

    def after(action):
        threading.Timer(0.4, action).start()

    def locked():
        lock = threading.Lock()
        lock.acquire()
        after(lock.release)
        return lock.acquire()

    def piped():
        r, w = os.pipe()
        after(lambda: os.write(w, b"line\n"))
        return os.read(r, 10) == b"line\n"

    def typed():
        r, w = os.pipe()
        os.dup2(r, 0)
        after(lambda: os.write(w, b"line\n"))
        return input() == "line"

    def accepted():
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            after(lambda: socket.create_connection(server.getsockname()).close())
            return server.accept()[0].recv(1) == b""

    async def looped():
        child = await asyncio.create_subprocess_exec("sleep", "0.4")
        await asyncio.sleep(0.1)
        return await child.wait() == 0

    pester = subprocess.Popen(["sh", "-c", "while kill -URG %d; do sleep 0.05; done" % os.getpid()])
    for name, blocking in [
        ("sleep", lambda: time.sleep(0.4) is None),
        ("lock", locked),
        ("child", lambda: subprocess.call(["sleep", "0.4"]) == 0),
        ("pipe", piped),
        ("input", typed),
        ("select", lambda: select.select([], [], [], 0.4) == ([], [], [])),
        ("socket", accepted),
        ("asyncio", lambda: asyncio.run(looped())),
    ]:
        if os.path.exists(answer()):
            os.unlink(answer())
        began = time.time()
        result = blocking()
        print(name, result, time.time() - began > 0.39, os.path.exists(answer()))
    pester.kill()


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[2:] if argument.isdigit()]
    globals()[sys.argv[1]](*arguments)
