"""Prices of orders: discounts by number, shipping by weight class, several lines at a time."""

from concurrent.futures import ThreadPoolExecutor

SHIPPING = {"letter": 120, "parcel": 490}


def discount(count):
    """Percent off for that many pieces of one kind."""
    if count >= 100:
        return 20
    elif count >= 10:
        return 5
    return 0


def line_total(line):
    cents, count = line
    full = cents * count
    return full - full * discount(count) // 100


def order_total(lines, shipping):
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="pricing") as pool:
        goods = sum(pool.map(line_total, lines))
    try:
        cost = SHIPPING[shipping]
    except KeyError:
        raise ValueError(f"no shipping called {shipping!r}") from None
    return goods + (cost if goods < 10_000 else 0)


def tax(cents, *, reduced=False):
    if reduced:
        return cents * 7 // 107
    return cents * 19 // 119


def refund(cents, days):
    if days > 30:
        return 0
    return cents
