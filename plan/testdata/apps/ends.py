"""Ends a process in the way named; every line marked HIT runs in it or in a child."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading


def work(queue=None):
    done = "work"  # HIT
    if queue is not None:
        queue.put(done)  # HIT in multiprocessing


def ends(way):
    if way == "subprocess":
        subprocess.check_call([sys.executable, __file__, "child"])
    elif way == "child":
        work()
    elif way == "_exit":
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        os.waitpid(pid, 0)
    elif way == "execv":
        work()
        os.execv(sys.executable, [sys.executable, __file__, "after"])
    elif way == "after":
        print("after")
    elif way == "sigterm":
        work()
        os.kill(os.getpid(), signal.SIGTERM)
    elif way == "threads":
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elif way == "pool":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(work, [None, None])
    else:
        context = multiprocessing.get_context(way)
        queue = context.Queue()
        child = context.Process(target=work, args=(queue,))
        child.start()
        print(queue.get())
        child.join()


if __name__ == "__main__":
    ends(sys.argv[1])
