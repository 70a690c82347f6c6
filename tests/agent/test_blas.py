"""The agent's commands multiply matrices in one thread, unless the user says otherwise."""

import os
import subprocess
import sys

from asd_agent.blas import VARIABLES

_THREADS = """
import asd_agent.cli
import numpy as np
a = np.ones((800, 800)) @ np.ones((800, 800))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Threads:")))
"""


def threads(**variables: str) -> int:
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS], env=environment | variables, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_matrix_product_has_no_thread_beside_the_one_that_asks():
    assert threads() == 1


def test_who_sets_the_variable_decides():
    assert threads(OPENBLAS_NUM_THREADS="2") > 1
