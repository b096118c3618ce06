"""Runs until it is stopped; with a word it ends by itself."""

import sys
import threading
import time

from marks import here

here()


def ends(how):
    here()
    if how == "exception":
        here()
        raise RuntimeError("as asked")


def late():
    here("late")


def runs_on():
    here("ready")
    for i in range(10**6):
        time.sleep(0.05)
        if i == 10:
            late()


def busy():
    """Other threads run lines that are new, all the while."""
    import many

    def run(names):
        for name in names:
            getattr(many, name)()
            time.sleep(0.05)

    names = sorted(name for name in dir(many) if name.startswith("f"))
    here("ready")
    while names:
        threads = [threading.Thread(target=run, args=(names[i : i + 40],)) for i in (0, 40, 80)]
        names = names[120:]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    here("late")


if sys.argv[1:] == ["busy"]:
    busy()
elif sys.argv[1:]:
    ends(sys.argv[1])
else:
    runs_on()
