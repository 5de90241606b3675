# SPDX-License-Identifier: Apache-2.0
# packages: apache2-utils nginx-light
import re

import loaded

TITLE = "ab (ApacheBench)"
WHAT = "many connections at once, with and without keep-alive, large files, POST"


def run(c):
    nginx = loaded.server(c)
    body = c.write("body", c.text * 1000)

    def ab(*words):
        out = c.client(["ab", "-q", *words], show=False, timeout=60)
        for what in ("Complete requests", "Failed requests", "Non-2xx responses", "Keep-Alive requests", "HTML transferred",
                     "Total body sent", "Document Length"):
            for line in re.findall(rf"^{what}:.*", out, re.M):
                c.say(" ".join(line.split()))
    ab("-n", 400, "-c", 10, loaded.BASE + "/page.txt")
    ab("-n", 2000, "-c", 10, "-k", loaded.BASE + "/page.txt")
    ab("-n", 40, "-c", 4, "-k", loaded.BASE + "/big.bin")
    ab("-n", 200, "-c", 4, "-k", loaded.BASE + "/missing")
    ab("-n", 200, "-c", 4, "-p", body, "-T", "text/plain", loaded.BASE + "/index.html")
    c.stop(nginx)
