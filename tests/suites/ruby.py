# SPDX-License-Identifier: Apache-2.0
"""Ruby's own tests of its socket library (test/socket of the Debian source package ruby3.1), by the packaged Ruby."""
# packages: ruby3.1
import os
import re

import sources
from suite import Suite, need, package_version

LINE = re.compile(r"^\[\s*\d+/\d+\] (\S+#\S.*?) = [\d.]+ s(?: = (\w))?")
LETTERS = {None: "ok", "S": "skip", "F": "fail", "E": "error"}


class Ruby(Suite):
    name = "ruby"
    title = "Ruby's socket tests"

    def prepare(self):
        need("/usr/bin/ruby3.1", "ruby3.1")
        _, self.root = sources.unpack("ruby3.1", r"test/(socket|lib|runner)|tool/(lib|test)")

    def version(self):
        return package_version("ruby3.1")

    def units(self):
        self.prepare()
        return sorted(f[:-3] for f in os.listdir(os.path.join(self.root, "test/socket")) if re.match(r"test_\w+\.rb$", f))

    def run(self, lane, unit):
        code, out, _ = lane.run(["/usr/bin/ruby3.1", "-Itool/lib", "test/runner.rb", "--seed=1", "-v", f"test/socket/{unit}.rb"],
                                120, cwd=self.root)
        results = {f"{unit}: {m[1]}": LETTERS.get(m[2], m[2]) for m in map(LINE.match, out.splitlines()) if m}
        for failure in re.findall(r"^\s+\d+\) (?:Failure|Error):\n(\S+#[^\s\[:]+)", out, re.M):
            results[f"{unit}: {failure}"] = "fail"
        for skipped in re.findall(r"^\s+\d+\) Skipped:\n(\S+#[^\s\[:]+)", out, re.M):
            results[f"{unit}: {skipped}"] = "skip"
        results[unit] = "ok" if code == 0 else "fail"
        return results


SUITE = Ruby()
