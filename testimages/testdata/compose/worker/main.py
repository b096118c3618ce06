"""A worker without an end of its own, with the name of the catalog's program."""

import os
import time


def work(rounds):
    done = 0
    for number in range(rounds):
        if number % 2:
            done += number
    return done


if os.environ.get("GREETING"):
    print(os.environ["GREETING"], flush=True)
else:
    print("no greeting", flush=True)
work(int(os.environ.get("ROUNDS", "1")))
open("/tmp/ready", "w").close()
while True:
    time.sleep(0.05)
