"""Asks the catalog, and ends."""

import sys
import urllib.request


def ask(path):
    with urllib.request.urlopen("http://catalog:8000" + path) as answer:
        return answer.read().decode()


def main(names):
    total = sum(int(ask("/price/" + name)) for name in names)
    if total == 10:
        print("ten")
        return 3
    print("not ten", total)
    return 0


sys.exit(main(sys.argv[1:] or ["tea", "cup"]))
