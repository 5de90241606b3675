# SPDX-License-Identifier: Apache-2.0
"""Small and old web servers: one site, a few requests, load."""
import web


def ask(c, port=8080, ranges=True, server=None):
    base = f"http://127.0.0.1:{port}"
    for path in ("/index.html", "/page.txt", "/big.bin"):
        web.get(c, base + path)
    web.get(c, base + "/missing", body=False)
    if ranges:
        web.get(c, base + "/big.bin", "-r", "1000000-1999999")
    web.under_load(c, port, lambda: None, "/page.txt", 30)
    if server:
        c.stop(server)
