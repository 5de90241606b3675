# SPDX-License-Identifier: Apache-2.0
# packages: etcd-server curl
import compat

TITLE = "etcd (Go)"
WHAT = "the server, started and checked"
REFUSED = "a Go program: it makes its system calls itself"


def run(c):
    argv = ["etcd", "--data-dir", f"{c.dir}/data", "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls",
            "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380"]
    if compat.NATIVE:
        server = c.start(argv)
        c.listening(2379)
        c.stop(server)
        c.lines.clear()
    c.refused(argv, "Go")
