"""Adds up a day's orders, one process a region."""

import concurrent.futures


def total(orders):
    region, amounts = orders
    kept = 0
    for amount in amounts:
        if amount < 0:  # sent back
            continue
        kept += amount
    return region, kept


def totals(regions):
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as pool:
        return dict(pool.map(total, regions.items()))
