# SPDX-License-Identifier: Apache-2.0
"""Redis' own tests (the Debian source package redis), by Tcl against the packaged server."""
# packages: redis-server redis-tools tcl
import os
import re
import shutil

import sources
from suite import Suite, need, package_version

UNITS = ["unit/auth", "unit/info", "unit/keyspace", "unit/limits", "unit/multi", "unit/networking", "unit/protocol",
         "unit/pubsub", "unit/querybuf", "unit/quit", "unit/scan", "unit/shutdown", "unit/tracking", "unit/wait",
         "unit/type/hash", "unit/type/incr", "unit/type/list", "unit/type/set", "unit/type/string",
         "unit/type/zset", "integration/redis-cli"]
LINE = re.compile(r"^\[(ok|err|exception|skip|ignore|timeout)\]: (.*?)(?: \(\d+ ms\))?$")


class Redis(Suite):
    name = "redis"
    title = "Redis' tests"
    shares = 4
    left_out = "units without a connection of their own to test (scripting, memory, persistence), clusters, and the longest"

    def prepare(self):
        need("/usr/bin/redis-server", "redis-server")
        need("/usr/bin/tclsh", "tcl")
        _, self.root = sources.unpack("redis", r"(tests/|runtest$|utils/)")

    def version(self):
        return package_version("redis-server")

    def units(self):
        return UNITS

    def run(self, lane, unit):
        tree = os.path.join(lane.dir, "redis")
        if not os.path.isdir(tree):
            shutil.copytree(self.root, tree)
            os.mkdir(os.path.join(tree, "src"))
            for program in ("redis-server", "redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb"):
                os.symlink(f"/usr/bin/{program}", os.path.join(tree, "src", program))
        code, out, _ = lane.run(["/usr/bin/tclsh", "tests/test_helper.tcl", "--single", unit, "--clients", "1"], 200, cwd=tree)
        results = {}
        for line in out.splitlines():
            m = LINE.match(re.sub(r"\x1b\[[\d;]*m", "", line))
            if m:
                results[f"{unit}: {m[2]}"] = {"err": "fail"}.get(m[1], m[1])
        results[unit] = "hung" if code is None else "ok" if code == 0 else "fail"
        return results


SUITE = Redis()
