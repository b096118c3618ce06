"""Rates to one unit of the first currency."""

RATES = {"EUR": 1.0, "USD": 1.08, "JPY": 163.2, "CHF": 0.97}


def convert(amount, source, target):
    if source not in RATES or target not in RATES:
        raise KeyError(target)
    value = amount / RATES[source] * RATES[target]
    if RATES[target] > 100:
        return float(round(value))
    return round(value, 2)
