"""Blocks of numbers. As a program, counts the blocks of a msgpack stream on stdin."""

import sys

import msgpack


def make(number):
    """A block: squares in the even ones, a chain of collatz in the odd."""
    if number % 2 == 0:
        return {"number": number, "values": [n * n for n in range(number)]}
    values = [number]
    while values[-1] != 1:
        last = values[-1]
        if last % 2:
            values.append(3 * last + 1)
        else:
            values.append(last // 2)
    return {"number": number, "values": values}


def main():
    read = list(msgpack.Unpacker(sys.stdin.buffer))
    for number, block in enumerate(read):
        if block != make(number):
            print(f"block {number} differs", file=sys.stderr)
            return 1
    print(f"{len(read)} blocks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
