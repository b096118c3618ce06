"""The nightly batch: prints what each region ordered, and ends."""

import json
import sys

import report

ORDERS = {"north": [250, 800, -250], "south": [1050]}


def main(args):
    if not args:
        print("usage: main.py DAY", file=sys.stderr)
        return 2
    print(json.dumps({"day": args[0], "cents": report.totals(ORDERS)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
