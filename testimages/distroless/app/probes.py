"""Probes: small functions that look at the system. As a program, prints the sum of what one of them works out."""

import hashlib
import os
import sys

PROBES = {}


def probe(function):
    PROBES[function.__name__] = function
    return function


@probe
def user():
    if os.getuid() == 0:
        return "root"
    return "unprivileged"


@probe
def shell():
    for path in ("/bin/sh", "/bin/bash", "/busybox/sh"):
        if os.path.exists(path):
            return path
    return "none"


@probe
def digest():
    state = hashlib.sha256()
    for number in range(500):
        if number % 15 == 0:
            state.update(b"fizzbuzz")
        elif number % 5 == 0:
            state.update(b"buzz")
        elif number % 3 == 0:
            state.update(b"fizz")
        else:
            state.update(b"%d" % number)
    return state.hexdigest()


def main(arguments):
    if arguments != ["sum"]:
        print("usage: probes.py sum", file=sys.stderr)
        return 2
    print(int(digest(), 16) % 9973)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
