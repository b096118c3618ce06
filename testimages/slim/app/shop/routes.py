"""The shop's HTTP interface."""

import json
import subprocess
import sys

from flask import Blueprint, Response, current_app, jsonify, request

from shop import pricing
from shop.store import OutOfStock, Store, Unknown

blueprint = Blueprint("shop", __name__)


def store():
    return Store(current_app.config["DATABASE"])


@blueprint.errorhandler(Unknown)
def unknown(error):
    return jsonify(error=f"unknown item {error}"), 404


@blueprint.errorhandler(OutOfStock)
def out_of_stock(error):
    return jsonify(error=str(error)), 409


@blueprint.errorhandler(ValueError)
def invalid(error):
    return jsonify(error=str(error)), 400


@blueprint.put("/items/<sku>")
def put_item(sku):
    body = request.get_json()
    if body["cents"] <= 0:
        raise ValueError("a price is more than nothing")
    created = store().put(sku, body["cents"], body.get("stock", 0))
    return jsonify(sku=sku), 201 if created else 200


@blueprint.get("/items/<sku>")
def get_item(sku):
    return jsonify(store().get(sku))


@blueprint.get("/items")
def list_items():
    def stream(skus):
        for sku in skus:
            yield sku + "\n"

    return Response(stream(list(store().walk())), mimetype="text/plain")


@blueprint.delete("/items")
def remove_items():
    store().remove_everything()
    return "", 204


@blueprint.post("/orders")
def order():
    body = request.get_json()
    priced = [(store().take(sku, count), count) for sku, count in body["lines"].items()]
    total = pricing.order_total(priced, body.get("shipping", "letter"))
    answer = {"total": total, "customer": body.get("customer"), "lines": body["lines"]}
    if body.get("invoice"):
        answer["tax"] = pricing.tax(total, reduced=body["invoice"] == "books")
    answer["receipt"] = receipt(answer)
    return jsonify(answer)


def receipt(answer):
    done = subprocess.run(
        [sys.executable, "-m", "shop.receipt"], input=json.dumps(answer), capture_output=True, text=True, check=True
    )
    return done.stdout
