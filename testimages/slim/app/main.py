"""Serves the shop with gunicorn on the loopback interface, uses it as customers would, stops it and judges.

Exit codes: 0 all as expected, 3 a wrong answer, 4 the server did not stop as asked.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import requests

from shop.store import Store

WRONG_ANSWER = 3
WRONG_STOP = 4


class Customer:
    def __init__(self, address):
        self.address = address
        self.wrong = []

    def ask(self, method, path, expected, **body):
        with requests.request(method, self.address + path, json=body or None, timeout=100) as answer:
            if answer.status_code != expected:
                self.wrong.append(f"{method} {path}: {answer.status_code}, not {expected}")
            if answer.headers.get("Content-Type") == "application/json":
                return answer.json()
            return answer.text

    def expect(self, what, got, wanted):
        if got != wanted:
            self.wrong.append(f"{what}: {got!r}, not {wanted!r}")


def fill(customer):
    customer.ask("PUT", "/items/pen", 201, cents=150, stock=500)
    customer.ask("PUT", "/items/ink", 201, cents=990, stock=3)
    customer.ask("PUT", "/items/book", 201, cents=2490, stock=8)
    customer.ask("PUT", "/items/ink", 200, cents=1090, stock=4)
    customer.ask("PUT", "/items/air", 400, cents=0)
    customer.expect("catalogue", customer.ask("GET", "/items", 200), "book\nink\npen\n")


def look(customer):
    """Many customers look around at once."""
    skus = ["pen", "ink", "book", "unicorn"] * 6
    with ThreadPoolExecutor(max_workers=6) as crowd:
        seen = list(crowd.map(lambda sku: customer.ask("GET", f"/items/{sku}", 404 if sku == "unicorn" else 200), skus))
    customer.expect("prices seen", sum(item.get("cents", 0) for item in seen), 6 * (150 + 1090 + 2490))


def buy(customer):
    small = customer.ask("POST", "/orders", 200, lines={"pen": 12, "ink": 1}, customer="Ada")
    customer.expect("small order", small["total"], 12 * 150 - 90 + 1090 + 120)
    books = customer.ask("POST", "/orders", 200, lines={"book": 2}, shipping="parcel", invoice="books")
    customer.expect("tax on books", books["tax"], (2 * 2490 + 490) * 7 // 107)
    many = customer.ask("POST", "/orders", 200, lines={"pen": 200}, customer="Grace", invoice="plain")
    customer.expect("receipt", many["receipt"].splitlines()[-1], "total 240.00")
    customer.ask("POST", "/orders", 409, lines={"book": 7})
    customer.ask("POST", "/orders", 400, lines={"pen": 1}, shipping="pigeon")


def serve(listener, database):
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "shop:create_app()"],
        pass_fds=[listener.fileno()],
        env={**os.environ, "SHOP_DATABASE": database},
    )


def main():
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        database = os.path.join(folder, "shop.sqlite")
        Store(database).create()
        server = serve(listener, database)
        customer = Customer("http://127.0.0.1:%d" % listener.getsockname()[1])
        try:
            for step in (fill, look, buy):
                step(customer)
            customer.ask("DELETE", "/items", 204)
        finally:
            server.send_signal(signal.SIGTERM)
            stopped = server.wait(timeout=60)
    for complaint in customer.wrong:
        print(complaint, file=sys.stderr)
    if customer.wrong:
        return WRONG_ANSWER
    if stopped != 0:
        print(f"gunicorn ended with {stopped}", file=sys.stderr)
        return WRONG_STOP
    print("shop: all customers served")
    return 0


if __name__ == "__main__":
    sys.exit(main())
