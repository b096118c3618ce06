"""A small shop: stock in SQLite, prices with discounts, receipts rendered by a program of their own."""

import os

from flask import Flask

from shop import routes


def create_app(database=None):
    app = Flask(__name__)
    app.config["DATABASE"] = database or os.environ["SHOP_DATABASE"]
    app.register_blueprint(routes.blueprint)
    return app
