import subprocess
import sys


def shop(*args):
    return subprocess.run([sys.executable, "-m", "shop", *args], capture_output=True, text=True)


def test_total():
    assert shop("total", "2.50", "3").stdout == "7.50\n"


def test_usage():
    assert shop().returncode == 2


def test_price(catalog):
    assert shop("price", catalog, "tea").stdout == "2.50\n"
