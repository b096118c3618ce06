"""The catalog: what the shop sells and for how much."""

import csv
import io
import urllib.request

import flask
import settings

app = flask.Flask(__name__)


def price_list():
    if not settings.PRICES_URL:
        return settings.BUILT_IN
    with urllib.request.urlopen(settings.PRICES_URL, timeout=10) as answer:
        rows = csv.reader(io.TextIOWrapper(answer, "utf-8"))
        return {name: int(cents) for name, cents in rows}


@app.get("/health")
def health():
    return "ok"


@app.get("/products/<name>")
def product(name):
    prices = price_list()
    if name not in prices:
        return {"error": f"no {name} here"}, 404
    return {"name": name, "cents": prices[name]}


@app.get("/products")
def products():
    return {"products": sorted(price_list())}
