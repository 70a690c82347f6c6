"""Matrix products of the commands run in one thread, and freed memory returns to the system."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from asd_agent.runtime import BLAS_VARIABLES, release_free_memory

PIECES, PIECE_BYTES = 4000, 16_384

_THREADS = """
import asd_agent.cli
import numpy as np
a = np.ones((800, 800)) @ np.ones((800, 800))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Threads:")))
"""

_VARIABLE = """
import asd_agent.cli
import os
print(os.environ["OPENBLAS_NUM_THREADS"])
"""


def printed(program: str, **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in BLAS_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_matrix_product_has_no_thread_beside_the_one_that_asks():
    assert printed(_THREADS) == "1"


def test_who_sets_the_variable_decides():
    # Not the number of threads: on one processor there is one whatever the variable says.
    assert printed(_VARIABLE, OPENBLAS_NUM_THREADS="2") == "2"


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_lies_free_between_pieces_in_use_goes_back():
    release_free_memory()
    pieces = [np.ones(PIECE_BYTES, np.uint8) for _ in range(PIECES)]
    kept = pieces[::64]  # a piece in use here and there: the allocator alone cannot shrink past the last of them
    del pieces
    before = resident()
    release_free_memory()
    assert before - resident() > PIECES * PIECE_BYTES / 2
    assert all(k.all() for k in kept)
