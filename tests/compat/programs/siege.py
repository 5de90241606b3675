# SPDX-License-Identifier: Apache-2.0
# packages: siege nginx-light
import re

import loaded

TITLE = "siege"
WHAT = "ten users in threads, keep-alive and not, several URLs, POST"


def run(c):
    nginx = loaded.server(c)
    for kind in ("keep-alive", "close"):
        rc = c.write("siegerc", f"connection = {kind}\nparser = false\njson_output = true\nlogging = false\nbenchmark = true\n")
        for url in ("/page.txt", "/big.bin", "/moved", "/missing", f"/post POST {c.text}"):
            out = c.client(["siege", "-R", rc, "-q", "-j", "-c", 10, "-r", 8, loaded.BASE + url], show=False, timeout=60)
            c.say(kind, url, re.findall(r'"(?:transactions|availability|successful_transactions|failed_transactions)":\s+[\d.]+', out))
    c.stop(nginx)
