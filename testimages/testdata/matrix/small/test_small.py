"""One service, one batch, the library and the command line, for whatever runs unittest's tests."""

import json
import os
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

from shop import Shop, money

RUN = os.environ["SHOP_RUN"].split()
TAG = os.environ["SHOP_TAG"]


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


class TestShop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        cls.url = f"http://127.0.0.1:{port}"
        cls.service = subprocess.Popen([*RUN, "--network=host", "--env", f"PORT={port}", f"shop/catalog:{TAG}"])
        while not answers(cls.url + "/health"):
            time.sleep(0.1)

    @classmethod
    def tearDownClass(cls):
        cls.service.terminate()
        cls.service.wait(60)

    def test_money(self):
        self.assertEqual(money.parse("2.50"), 250)

    def test_price(self):
        self.assertEqual(Shop(self.url).price("tea"), 250)
        self.assertIsNone(Shop(self.url).price("pot"))

    def test_command(self):
        done = subprocess.run([sys.executable, "-m", "shop", "price", self.url, "cup"], capture_output=True, text=True)
        self.assertEqual(done.stdout, "8.00\n", done.stderr)

    def test_batch(self):
        done = subprocess.run([*RUN, "--network=none", f"shop/nightly:{TAG}", "2026-11-24"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["cents"], {"north": 1050, "south": 1050})
