# SPDX-License-Identifier: Apache-2.0
"""What a suite is to the runner, and what the modules beside this file share.

A suite has units (files, mostly), and a unit gives results: {test id: "ok", "fail", "skip", ...}. The same unit is run in
two lanes (lane.py), as it is and wrapped; it learns nothing about svidwrap but the words to put before its commands.
"""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """The suite cannot run here; the text says what is missing and where it comes from."""


class Suite:
    name = ""     # as on the command line and in differences.yaml
    title = ""    # for people
    left_out = ""  # what of the project's tests is not run, and why
    shares = 3    # how many pairs of lanes its units are dealt out to: most tests wait for time to pass
    rule = {}     # more keys for the rules, where the comparison would not be fair without

    def prepare(self):
        """Finds or makes what the suite needs, once, outside the lanes. Raises Missing."""

    def version(self):
        raise NotImplementedError

    def units(self):
        raise NotImplementedError

    def run(self, lane, unit):
        """Runs a unit and returns its results."""
        raise NotImplementedError


def package_version(package):
    run = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], capture_output=True,
                         text=True, check=False)
    status, _, version = run.stdout.partition(" ")
    if status != "installed":
        raise Missing(f"the package {package} is not installed: scripts/deps compat")
    return version


def need(path, package):
    if not os.path.exists(path):
        raise Missing(f"{path} is not there (package {package}): scripts/deps compat")
    return path


TAP = re.compile(r"^(not )?ok\b *(\d+)?[ -]*([^#]*)(?:#\s*(skip|todo)\b)?", re.I)


def tap(unit, text, code):
    """The results in a test's output by the Test Anything Protocol. What the plan promised and did not come has failed,
    and so has the file as a whole by its exit status."""
    found, number, plan, skipped = {}, 0, None, False
    for line in text.splitlines():
        m = re.match(r"1\.\.(\d+)(\s*#\s*skip)?", line, re.I)
        if m:
            plan, skipped = int(m[1]), bool(m[2])
            continue
        m = TAP.match(line)
        if not m:
            continue
        number = int(m[2]) if m[2] else number + 1
        word = (m[4] or "").lower()
        found[f"{unit}#{number}"] = word or ("fail" if m[1] else "ok")
    for n in range(1, (plan or 0) + 1):
        found.setdefault(f"{unit}#{n}", "missing")
    found[unit] = "skip" if skipped else "ok" if code == 0 else "fail"
    return found
