# SPDX-License-Identifier: Apache-2.0
# packages: nghttp2-client nghttp2-server nginx-light curl
import re

import loaded
import web

TITLE = "HTTP/2 (nghttp, nghttpd, h2load)"
WHAT = "HTTP/2 in clear against nghttpd and nginx: streams at once, uploads, header compression, curl with prior knowledge"


def run(c):
    nginx = loaded.server(c, http2=True)
    other = c.server(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-n", 2, "-d", f"{c.dir}/www", 8090], 8090)

    def h2load(*words):
        out = c.client(["h2load", *words], show=False, timeout=60)
        c.say(*words, re.findall(r"^(requests:.*|status codes:.*)", out, re.M))
    for port in (8080, 8090):
        base = f"http://127.0.0.1:{port}"
        h2load("-n", 1000, "-c", 8, "-m", 10, base + "/page.txt")
        h2load("-n", 30, "-c", 2, "-m", 5, "-t", 2, base + "/big.bin")
        h2load("-n", 20, "-c", 2, "-m", 5, "-d", f"{c.dir}/www/big.bin", base + "/index.html")
        for path in ("/index.html", "/page.txt", "/big.bin", "/missing"):
            web.get(c, base + path, "--http2-prior-knowledge", body=path != "/missing")
        out = c.client(["nghttp", "-nv", base + "/index.html", base + "/page.txt"], show=False)
        c.say(sorted(re.findall(r":status: \d+", out)))
        c.client(["nghttp", base + "/page.txt"])
    c.stop(other)
    c.stop(nginx)
