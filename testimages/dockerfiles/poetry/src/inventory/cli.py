"""Moves goods in and out, and ends with the number of goods that have to be ordered."""

import sys

from inventory.stock import Stock, Unknown

MOVES = [("screw", 400), ("nail", 30), ("screw", -390), ("bolt", -1), ("nail", -5)]


def main():
    stock = Stock(minimum=20)
    for name, count in MOVES:
        try:
            stock.move(name, count)
        except Unknown as unknown:
            print("no", unknown)
    low = stock.low()
    print("order:", ", ".join(low) or "nothing")
    return len(low)


if __name__ == "__main__":
    sys.exit(main())
