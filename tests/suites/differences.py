# SPDX-License-Identifier: Apache-2.0
"""Reads differences.yaml: the tests of other projects that end otherwise under svidwrap, each with its reason.

  SUITE:
    - reason: why it has to differ, for people who read docs/COMPATIBILITY.md
      sometimes: true      # natively, too, it does not always end the same way: not an error where it does not differ
      tests: [test id, ...]
"""
import collections
import os

import yaml

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "differences.yaml")
Entry = collections.namedtuple("Entry", "reason sometimes")


def read(suites, path=PATH):
    """{suite: {test id: Entry}}"""
    with open(path) as f:
        text = yaml.safe_load(f) or {}
    unknown = set(text) - set(suites)
    if unknown:
        raise SystemExit(f"{path}: no such suite: {', '.join(sorted(unknown))}")
    listed = {s: {} for s in suites}
    for name, entries in text.items():
        for entry in entries or []:
            strange = set(entry) - {"reason", "sometimes", "tests"}
            if strange or not entry.get("reason") or not entry.get("tests"):
                raise SystemExit(f"{path}: {name}: an entry has reason, tests and perhaps sometimes: {entry}")
            for test in entry["tests"]:
                if test in listed[name]:
                    raise SystemExit(f"{path}: {name}: {test} is there twice")
                listed[name][test] = Entry(" ".join(entry["reason"].split()), bool(entry.get("sometimes")))
    return listed
