"""A Pool whose processes wait for more."""

import multiprocessing
import time

from marks import here


def work(n):
    here()
    time.sleep(0.2)
    if n > 3:
        here("late")
    return n


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    with multiprocessing.Pool(2) as pool:
        here()
        pool.map(work, range(8), chunksize=1)
        here("ready")
        time.sleep(10**6)
