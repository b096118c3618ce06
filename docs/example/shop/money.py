"""Cents, as people write them."""


def show(cents):
    sign = ""
    if cents < 0:
        sign, cents = "-", -cents
    return f"{sign}{cents // 100}.{cents % 100:02}"


def parse(text):
    whole, point, rest = text.partition(".")
    if point and len(rest) != 2:
        raise ValueError(f"{text!r} is no amount")
    return int(whole) * 100 + int(rest or 0)
