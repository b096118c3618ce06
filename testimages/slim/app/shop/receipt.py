"""Renders a receipt: a program that reads an order as JSON from stdin and prints text."""

import json
import sys


def euros(cents):
    return f"{cents // 100}.{cents % 100:02d}"


def render(order):
    lines = [f"Order of {order['customer'] or 'a stranger'}"]
    for sku, count in sorted(order["lines"].items()):
        lines.append(f"  {count:4d} x {sku}" if count > 1 else f"         {sku}")
    if order.get("tax"):
        lines.append(f"tax {euros(order['tax'])}")
    lines.append(f"total {euros(order['total'])}")
    return "\n".join(lines)


def main():
    try:
        order = json.load(sys.stdin)
    except ValueError as error:
        print(f"receipt: {error}", file=sys.stderr)
        return 2
    print(render(order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
