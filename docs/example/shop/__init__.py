"""The shop's client library: prices, totals and orders, over http."""

from shop.client import Shop, Unavailable

__all__ = ["Shop", "Unavailable"]
