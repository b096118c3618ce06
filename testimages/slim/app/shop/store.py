"""Stock, kept in SQLite; every worker opens it for itself."""

import sqlite3
from contextlib import closing

SCHEMA = "CREATE TABLE IF NOT EXISTS items (sku TEXT PRIMARY KEY, cents INTEGER NOT NULL, stock INTEGER NOT NULL)"


class OutOfStock(Exception):
    """Fewer items are left than were asked for."""


class Unknown(Exception):
    """No item has that SKU."""


class Store:
    def __init__(self, path):
        self.path = path

    def connect(self):
        return closing(sqlite3.connect(self.path, timeout=60, isolation_level=None))

    def create(self):
        with self.connect() as db:
            db.execute(SCHEMA)

    def put(self, sku, cents, stock):
        """Adds an item, or changes it; says whether it is new."""
        with self.connect() as db:
            known = db.execute("SELECT 1 FROM items WHERE sku = ?", (sku,)).fetchone()
            if known:
                db.execute("UPDATE items SET cents = ?, stock = ? WHERE sku = ?", (cents, stock, sku))
            else:
                db.execute("INSERT INTO items VALUES (?, ?, ?)", (sku, cents, stock))
        return known is None

    def get(self, sku):
        with self.connect() as db:
            row = db.execute("SELECT cents, stock FROM items WHERE sku = ?", (sku,)).fetchone()
        if row is None:
            raise Unknown(sku)
        return {"sku": sku, "cents": row[0], "stock": row[1]}

    def take(self, sku, count):
        item = self.get(sku)
        if item["stock"] < count:
            raise OutOfStock(f"{sku}: {item['stock']} left")
        with self.connect() as db:
            db.execute("UPDATE items SET stock = stock - ? WHERE sku = ?", (count, sku))
        return item["cents"]

    def remove_everything(self):
        with self.connect() as db:
            db.execute("DELETE FROM items")

    def walk(self):
        """Yields SKUs in order, one query a page."""
        last, page = "", 2
        with self.connect() as db:
            while True:
                rows = db.execute("SELECT sku FROM items WHERE sku > ? ORDER BY sku LIMIT ?", (last, page)).fetchall()
                if not rows:
                    break
                for (sku,) in rows:
                    yield sku
                last = rows[-1][0]
