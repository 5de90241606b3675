# SPDX-License-Identifier: Apache-2.0
"""Seeds of random operations (tests/differential/random), run natively twice and under svidwrap once.

A seed whose native runs differ is a fault of the generator, and is told as one; a seed whose wrapped run differs is
a fault of svidwrap. One process of each kind runs all seeds of a batch: it reads them from its standard input.
"""
import difflib
import os
import re

from harness import LANE, PROGRAMS, Failure, TD, entry

PORTS = 16  # of one process
OPS = 64    # as in random.h: operations of a seed at most


class Lane:
    """A process that runs seeds, and its traces."""

    def __init__(self, t, name, items, wrap=None):
        self.t, self.items = t, items
        feed = os.path.join(t.dir, f"seeds-{name}-{len(t.procs)}")
        with open(feed, "w") as f:
            f.write("".join(f"{item}\n" for item in items))
        argv = [os.path.join(PROGRAMS, "random"), str(ports(t, name)), str(PORTS)]
        extra = {"RANDOM_MARKER": t.marker.decode()}
        if os.environ.get("SVIDWRAP_TEST_LANE"):
            extra["RANDOM_TAME"] = "1"
        with open(feed) as stdin:
            self.proc = t.spawn(wrap(argv) if wrap else argv, name="random-" + name, stdin=stdin, extra=extra)

    def traces(self, timeout):
        """[[line]], one a seed; the last one is cut short where the process ended too early."""
        code = self.proc.wait(timeout)
        found, lines = [], []
        for line in self.proc.out().decode(errors="replace").splitlines():
            if re.fullmatch(r"end \d+", line):
                found.append(lines)
                lines = []
            else:
                lines.append(line)
        if len(found) < len(self.items):
            found.append(lines + [f"(the process ended here: {code}) {self.proc.err().decode(errors='replace')[-800:]}"])
        return found


def ports(t, name):
    """The first of PORTS ports in a row, the same for every process of one name."""
    if not hasattr(t, "random_ports"):
        t.random_ports = {}
    while name not in t.random_ports:
        row = [t.port()]
        while len(row) < PORTS and (not row[1:] or row[-1] == row[-2] + 1):
            row.append(t.port())
        if row[-1] - row[0] == PORTS - 1:
            t.random_ports[name] = row[0]
    return t.random_ports[name]


def prepare(t):
    agent_id = f"{TD}/random"
    t.agent([entry(agent_id)])
    first = ports(t, "wrapped")
    t.random_config = t.both(*range(first, first + PORTS), allow=[agent_id], rule={"truncation": "eof"})


def run(t, items, timeout=240):
    """[(native, native, wrapped)] of each item: "SEED", or "SEED OP,OP"."""
    first = ports(t, "wrapped")
    with t.watch(*range(first, first + PORTS), expect=False):
        lanes = [Lane(t, "native", items), Lane(t, "again", items),
                 Lane(t, "wrapped", items, lambda argv: t.wrap(t.random_config, argv))]
        found = [lane.traces(timeout) for lane in lanes]
    return list(zip(items, *found))


def difference(native, wrapped):
    return "\n".join(difflib.unified_diff(native, wrapped, "native", "wrapped", lineterm="", n=400))


def batch(t, first, count, limit=5, batch_size=2000):
    """Runs seeds; raises Failure with the differences, at most `limit` in full."""
    prepare(t)
    wrong, fickle, done = [], [], 0
    while done < count and len(wrong) < limit:
        items = [str(s) for s in range(first + done, first + min(count, done + batch_size))]
        for seed, native, again, wrapped in run(t, items):
            if native != again or any("NEVER CAME" in line or "GAVE UP" in line or "HANG" in line for line in native):
                fickle.append((seed, difference(native, again) or "\n".join(native)))
            elif native != wrapped:
                wrong.append((seed, difference(native, wrapped)))
        done += len(items)
    story = [f"seed {s}: natively it is not always the same\n{d}" for s, d in fickle[:limit]]
    story += [f"seed {s} differs (make random SEED={s})\n{d}" for s, d in wrong[:limit]]
    if story:
        raise Failure(f"{done} seeds: {len(wrong)} differ ({' '.join(s for s, _ in wrong[:40])}), {len(fickle)} are not "
                      f"the same natively ({' '.join(s for s, _ in fickle[:40])})\n" + "\n".join(story))
    return done


def shrink(t, seed):
    """The fewest operations with which the seed still differs: [op], its traces."""
    prepare(t)
    keep = list(range(OPS))

    def differs(candidates):
        rows = run(t, [f"{seed} {','.join(map(str, c))}" for c in candidates])
        return [(c, n, w) for c, (_, n, again, w) in zip(candidates, rows) if n == again and n != w]

    best = differs([keep])
    if not best:
        return None
    size = len(keep) // 2
    while size >= 1:
        keep = best[0][0]
        candidates = [keep[:i] + keep[i + size:] for i in range(0, len(keep), size)]
        found = differs([c for c in candidates if c])
        if found:
            best = [min(found, key=lambda f: len(f[1]))]
        elif size == 1:
            break
        else:
            size = max(1, size // 2)
            continue
        size = min(size, max(1, len(best[0][0]) // 2))
    return best[0]
