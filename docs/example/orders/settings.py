"""The settings of the orders service: where the catalog is, and what an order may be worth."""

import os


def number(name, default):
    text = os.environ.get(name, "")
    if not text:
        return default
    return int(text)


CATALOG_URL = os.environ.get("CATALOG_URL", "http://catalog:8000")
PORT = number("PORT", 8000)
MOST = number("MOST_CENTS", 100_000)
