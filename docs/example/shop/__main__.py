"""The command line: `python -m shop total 2.50 3` or `python -m shop price URL NAME`."""

import sys

from shop import Shop, money


def main(args):
    match args:
        case ["total", price, pieces]:
            print(money.show(money.parse(price) * int(pieces)))
        case ["price", url, name]:
            cents = Shop(url).price(name)
            if cents is None:
                print(f"no {name} here", file=sys.stderr)
                return 1
            print(money.show(cents))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
