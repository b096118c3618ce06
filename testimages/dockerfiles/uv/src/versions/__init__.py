"""Sorts versions, and ends with 2 if there was one that is none."""

import sys

from versions.order import newest_first


def main():
    good, bad = newest_first(sys.argv[1:])
    print(*good, sep="\n")
    if bad:
        print("no version:", *bad, file=sys.stderr)
        return 2
    return 0
