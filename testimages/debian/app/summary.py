"""Sums of orders, each in a process of its own."""

import multiprocessing
import sys
import threading


class Adder(multiprocessing.get_context("fork").Process):
    """Adds the orders of one currency, halves in two threads, and puts (currency, euros) into a queue."""

    def __init__(self, currency, orders, queue):
        super().__init__(name=f"adder-{currency}")
        self.currency = currency
        self.orders = orders
        self.queue = queue

    def run(self):
        mine = [order["euros"] for order in self.orders if order["currency"] == self.currency]
        sums = {}

        def add(part, numbers):
            total = 0
            for number in numbers:
                total += round(number * 100)
            sums[part] = total

        threads = [threading.Thread(target=add, args=(part, mine[part::2])) for part in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.queue.put((self.currency, sum(sums.values()) / 100))


def audit(orders, answer):
    """Counts again in a fresh interpreter and sends the sum in euros."""
    cents = sum(round(order["euros"] * 100) for order in orders)
    answer.send(cents / 100)
    answer.close()
    if cents < 0:
        sys.exit(1)
