"""Keeps numpy's matrix products to one thread; it must be imported before numpy is.

OpenBLAS would take a thread a core, and its threads wait for each other by spinning: beside any other work a window
costs many times as much, and what it burns on an idle box is worth nothing. Who sets the variables decides.
"""

from __future__ import annotations

import os

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

for name in VARIABLES:
    os.environ.setdefault(name, "1")
