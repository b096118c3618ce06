"""Works off a queue in a process of its own."""

import multiprocessing

from jobs import Queue


def work(jobs, results):
    queue = Queue(jobs)
    while queue:
        results.put(queue.next())
    results.put(None)


def main():
    results = multiprocessing.Queue()
    worker = multiprocessing.Process(target=work, args=([(3, "sweep"), (1, "wash"), (2, "dry")], results))
    worker.start()
    for name in iter(results.get, None):
        print(name)
    worker.join()
    return worker.exitcode


if __name__ == "__main__":
    raise SystemExit(main())
