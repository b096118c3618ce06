"""Statistics of one sensor, as a program: values as JSON from stdin, figures as JSON to stdout."""

import json
import sys
from statistics import fmean, pstdev


def figures(values):
    if not values:
        return {"count": 0}
    result = {"count": len(values), "mean": round(fmean(values), 3), "spread": round(pstdev(values), 3)}
    if result["spread"] > 100:
        result["unsteady"] = True
    return result


if __name__ == "__main__":
    json.dump(figures(json.load(sys.stdin)), sys.stdout)
