import json

from conftest import IMAGES, TAG, engine


def test_report():
    report = json.loads(engine("run", "--rm", f"{IMAGES}/nightly:{TAG}", "2026-11-24"))
    assert report["cents"] == {"north": 1050, "south": 1050}
