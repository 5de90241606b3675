# SPDX-License-Identifier: Apache-2.0
# packages: prometheus
import compat

TITLE = "Prometheus (Go)"
WHAT = "the server, started and checked"
REFUSED = "a Go program: it makes its system calls itself"


def run(c):
    argv = ["prometheus", "--config.file", c.write("p.yml", "global: {}\n"), "--storage.tsdb.path", f"{c.dir}/data",
            "--web.listen-address", "127.0.0.1:9090"]
    if compat.NATIVE:
        server = c.start(argv)
        c.listening(9090)
        c.stop(server)
        c.lines.clear()
    c.refused(argv, "Go")
