# SPDX-License-Identifier: Apache-2.0
"""memcached's own t/*.t. They want the server built for debugging (memcached-debug), so it is built from the same source
package, once, below BUILD/suites. They would talk to it over unix sockets: they are told that there are none."""
# packages: gcc libevent-dev make memcached perl
import os
import subprocess

import sources
from suite import Missing, Suite, tap

LIBRARY = "t/lib/MemcachedTest.pm"
UNIX_SOCKETS = "return 1 if $output =~ /unix-socket/i;"
# Minutes of storage engine behind a handful of connections.
NOT_RUN = {"binary-extstore.t", "chunked-extstore.t", "error-extstore.t", "extstore-buckets.t", "extstore-jbod.t",
           "extstore.t", "lru-crawler.t", "restart.t"}
MANY = 1000  # results: told as one, by the file's end, and those that failed
AS_ONE = {"maxconns.t"}  # how many results it has depends on time


class Memcached(Suite):
    name = "memcached"
    title = "memcached's t/*.t"
    shares = 4
    left_out = "eight files that test the storage on disk for minutes over a few connections"

    def prepare(self):
        self.source, self.root = sources.unpack("memcached", r".")
        if not os.path.exists(os.path.join(self.root, "memcached-debug")):
            run = subprocess.run("./configure && make -j2 memcached memcached-debug timedrun", shell=True,
                                 cwd=self.root, capture_output=True, text=True, check=False)
            if run.returncode:
                raise Missing(f"memcached {self.source} does not build here: {run.stderr[-500:]}")
        with open(os.path.join(self.root, LIBRARY)) as f:
            text = f.read()
        if UNIX_SOCKETS in text:
            with open(os.path.join(self.root, LIBRARY), "w") as f:
                f.write(text.replace(UNIX_SOCKETS, ""))

    def version(self):
        return self.source

    def units(self):
        self.prepare()
        return sorted(f for f in os.listdir(os.path.join(self.root, "t")) if f.endswith(".t") and f not in NOT_RUN)

    def run(self, lane, unit):
        code, out, _ = lane.run(["/usr/bin/perl", "-It/lib", f"t/{unit}"], 100, cwd=self.root)
        results = tap(unit, out, code)
        if unit in AS_ONE:
            return {unit: results[unit]}
        if len(results) > MANY:
            return {test: result for test, result in results.items() if test == unit or result not in ("ok", "skip")}
        return results


SUITE = Memcached()
