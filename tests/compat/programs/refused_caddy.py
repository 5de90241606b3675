# SPDX-License-Identifier: Apache-2.0
# packages: caddy
import compat

TITLE = "Caddy (Go)"
WHAT = "its file server, started and checked"
REFUSED = "a Go program: it makes its system calls itself"


def run(c):
    argv = ["caddy", "file-server", "--listen", "127.0.0.1:8080", "--root", c.dir]
    if compat.NATIVE:
        server = c.start(argv)
        c.listening(8080)
        c.stop(server)
        c.lines.clear()
    c.refused(argv, "Go")
