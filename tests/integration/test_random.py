# SPDX-License-Identifier: Apache-2.0
"""Random operations on two peers and their children: does a program see under svidwrap what it sees without, in
orders that nobody thought of? SVIDWRAP_TEST_SEEDS (default 3000) seeds, from SVIDWRAP_TEST_SEED_FROM (default 1)."""
import os

import randomly

SEEDS = int(os.environ.get("SVIDWRAP_TEST_SEEDS", "3000"))
FROM = int(os.environ.get("SVIDWRAP_TEST_SEED_FROM", "1"))
PARTS = 4


def part(first, count):
    def test(t):
        randomly.batch(t, first, count)
    return test


def more():
    size = -(-SEEDS // PARTS)
    for i in range(PARTS):
        first = FROM + i * size
        yield f"seeds_{first}", part(first, min(size, SEEDS - i * size))
