# SPDX-License-Identifier: Apache-2.0
# packages: busybox-static
import os

import compat

TITLE = "BusyBox (statically linked)"
WHAT = "its httpd, started and checked"
REFUSED = "statically linked, so nothing can be preloaded into it"


def run(c):
    c.directory("www")
    c.write("www/index.html", c.text)
    if compat.NATIVE:  # it is a server, natively
        server = c.start(["busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", f"{c.dir}/www"])
        c.listening(8080)
        c.client(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/index.html"], show=False)
        os.kill(server.pid, 15)
        server.wait()
    c.refused(["busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", f"{c.dir}/www"], "static")
