# SPDX-License-Identifier: Apache-2.0
"""Every test's audit log, at its end: each line is what docs/audit.schema.json says, and there is exactly one for
every decision that the daemon counted."""
import collections
import json
import os
import subprocess
import time

import jsonschema

KEYS = ["timestamp", "event", "result", "direction", "client_spiffe_id", "server_spiffe_id", "rule", "local", "remote",
        "reason", "pid", "program"]
ORDER_KEYS = ["timestamp", "event", "result", "rule", "old", "new", "config", "persisted", "uid", "pid"]
SETTLE = 20  # seconds for lines that are under way


class AuditLines:
    """The lines of one file. Torn ones (a disk that was full) are said to be expected by the test."""

    def __init__(self, path):
        self.path = path
        with open(path, errors="surrogateescape") as f:
            text = f.read()
        self.lines = text.split("\n")
        self.unfinished = self.lines.pop()

    def problems(self, validator, torn_ok):
        found = []
        for n, line in enumerate(self.lines, 1):
            try:
                pairs = json.loads(line, object_pairs_hook=list)
            except ValueError:
                if not torn_ok:
                    found.append(f"{self.path}:{n}: no JSON: {line[:300]}")
                continue
            o = dict(pairs)
            error = jsonschema.exceptions.best_match(validator.iter_errors(o))
            if error is not None:
                found.append(f"{self.path}:{n}: {error.message[:300]}: {line[:600]}")
            elif o["event"] != "lines_lost" and [k for k, _ in pairs] not in (KEYS, ORDER_KEYS):
                found.append(f"{self.path}:{n}: the keys stand in another order: {line[:300]}")
        return found


def schema(root):
    with open(os.path.join(root, "docs", "audit.schema.json")) as f:
        return jsonschema.Draft202012Validator(json.load(f))


def status(svidwrap, environ):
    """The status document, or None where no daemon of ours answers."""
    try:
        run = subprocess.run([svidwrap, "status", "--json"], env=environ, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return json.loads(run.stdout) if run.returncode == 0 else None


def counted(path, since):
    """Decisions in the file since then: (direction, result) -> lines."""
    n = collections.Counter()
    if os.path.exists(path):
        with open(path, errors="surrogateescape") as f:
            for line in f:
                try:
                    o = json.loads(line)
                except ValueError:
                    continue
                if o.get("event") == "connection" and o["timestamp"] >= since:
                    n[(o["direction"], o["result"])] += 1
    return n


def difference(svidwrap, environ, path):
    """None where lines and counters agree, or cannot be compared; else what is wrong."""
    doc = status(svidwrap, environ)
    if doc is None or "audit" not in doc:
        return None
    targets = {t["to"]: t for t in doc["audit"]}
    lines = counted(path, doc["started"])
    mine = targets.get(path, {"lines": 0, "lost": 0})
    if sum(lines.values()) != mine["lines"]:
        return f"{path}: {sum(lines.values())} lines since {doc['started']}, and the daemon wrote {mine['lines']}"
    decided = {(d, r): n for d in ("inbound", "outbound") for r, n in doc["totals"][d].items() if n}
    written = sum(t["lines"] + t["lost"] for t in targets.values())
    if sum(decided.values()) != written:
        return f"{sum(decided.values())} decisions, and {written} audit lines: {decided}, {doc['audit']}"
    if set(targets) == {path} and not mine["lost"] and dict(lines) != decided:
        return f"decisions {decided}, lines {dict(lines)}"
    return None


def disagreement(svidwrap, environ, path):
    """As difference(); what is under way is given time to arrive."""
    end = time.monotonic() + SETTLE
    while True:
        wrong = difference(svidwrap, environ, path)
        if wrong is None or time.monotonic() > end:
            return wrong
        time.sleep(0.2)
