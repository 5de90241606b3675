# SPDX-License-Identifier: Apache-2.0
"""Node's own tests of its net module (test/parallel/test-net-* and test-tcp-wrap* of the Debian source package nodejs), by
the Node that is installed: a file is a test."""
# packages: nodejs
import os
import re
import shutil
import subprocess

import sources
from suite import Missing, Suite

GROUP = 12  # files a unit


class Node(Suite):
    name = "node"
    title = "Node.js's tests of net"
    shares = 4
    left_out = "the other three thousand tests: most have no socket in them, http and cluster are in the matrix of programs"

    def prepare(self):
        self.node = shutil.which("node") or shutil.which("nodejs")
        if self.node is None:
            raise Missing("node is not installed: scripts/deps compat")
        self.source, root = sources.unpack("nodejs", r"test/(common/|fixtures/[^/]*$|fixtures/keys/|"
                                                     r"parallel/test-(net|tcp-wrap))")
        self.tests = os.path.join(root, "test/parallel")

    def version(self):
        node = subprocess.run([self.node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return f"{node}, tests of {self.source}"

    def files(self):
        return sorted(f for f in os.listdir(self.tests) if f.endswith(".js"))

    def units(self):
        self.prepare()
        return [f"{i + 1}-{i + GROUP}" for i in range(0, len(self.files()), GROUP)]

    def run(self, lane, unit):
        first, last = map(int, unit.split("-"))
        results = {}
        for file in self.files()[first - 1:last]:
            with open(os.path.join(self.tests, file)) as f:
                flags = re.findall(r"^// Flags: (.*)", f.read(), re.M)
            code, out, _ = lane.run([self.node, *(flags[0].split() if flags else []), file], 60, cwd=self.tests,
                                    extra={"NODE_TEST_DIR": lane.dir})
            skipped = re.search(r"^1\.\.0 # Skipped", out, re.M | re.I)
            results[file] = "skip" if skipped and code == 0 else "ok" if code == 0 else "hung" if code is None else "fail"
        return results


SUITE = Node()
