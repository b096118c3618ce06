"""A program with branches; exits with 3."""

import sys
import threading


def classify(n):
    if n % 15 == 0:
        return "both"
    elif n % 5 == 0:
        return "five"
    for divisor in (2, 3):
        if n % divisor == 0:
            return "small"
    return "none"


def main():
    thread = threading.Thread(target=classify, args=(10,))
    thread.start()
    thread.join()
    try:
        classify("x")
    except TypeError:
        print(*[classify(n) for n in (3, 7, 15)])
    while True:
        break
    return 3


if __name__ == "__main__":
    sys.exit(main())
