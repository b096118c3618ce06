"""Says what the hook left in the process."""

import json
import sys

coverage = getattr(sys.modules.get("coverage"), "__file__", "")
json.dump({"path": sys.path, "modules": sorted(sys.modules), "coverage": coverage}, sys.stdout)
