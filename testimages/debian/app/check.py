"""Judges single orders; runs in the pool's workers."""

from dataclasses import dataclass

_rules = {}


@dataclass
class Verdict:
    order: dict
    reason: str = ""

    @property
    def good(self):
        return not self.reason


def prepare(rules):
    """Sets up a worker with the rules."""
    _rules.update(rules)


def amount_of(order):
    try:
        amount = float(order["amount"])
    except ValueError:
        return None
    return round(amount, 2)


def judge(order):
    if order["currency"] not in _rules["currencies"]:
        return Verdict(order, "unknown currency")
    amount = amount_of(order)
    if amount is None:
        return Verdict(order, "not a number")
    if amount > _rules["maximum"]:
        return Verdict(order, "too much")
    for word in _rules["suspicious"]:
        if word in order["customer"]:
            return Verdict(order, f"customer is called {word}")
    if amount < 0:
        return Verdict(order, "less than nothing")
    return Verdict({**order, "amount": amount, "euros": convert(amount, order["currency"])})


def convert(amount, currency):
    rate = _rules["currencies"][currency]
    if rate == 1:
        return amount
    return round(amount * rate, 2)
