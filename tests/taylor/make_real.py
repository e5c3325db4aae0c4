"""Writes `real.json`: what was measured on the finetune of shared data.

JAXCIRC_SHARED_DATA=... python -m tests.taylor.make_real
"""

import json
import pathlib

from .._wide import double_precision
from .real import load, measured

FILE = pathlib.Path(__file__).with_name("real.json")

if __name__ == "__main__":
    with double_precision():
        FILE.write_text(json.dumps(measured(*load()), indent=1) + "\n")
