"""What the model alone needs: loads it, predicts once, and prints its own resident memory in bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from predictor import FOLDER, Predictor

if __name__ == "__main__":
    Predictor()(json.loads((FOLDER / "request.json").read_text()))
    statm = Path("/proc/self/statm")
    if statm.exists():
        print(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    else:
        import resource

        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
