# SPDX-License-Identifier: Apache-2.0
# packages: webfs curl
import small
import web

TITLE = "webfs"
WHAT = "a select loop of the nineties: static files with sendfile, ranges, keep-alive, CGI"


def run(c):
    web.pages(c)
    c.write("www/cgi/hello", f"#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; echo \"{c.text} $QUERY_STRING\"\n", 0o755)
    server = c.server(["webfsd", "-F", "-p", 8080, "-r", f"{c.dir}/www", "-f", "index.html", "-x", "/cgi/", "-n", "localhost"], 8080)
    web.get(c, "http://127.0.0.1:8080/cgi/hello?a=b")
    web.several(c, *["http://127.0.0.1:8080" + p for p in ("/page.txt", "/big.bin", "/index.html")])
    small.ask(c, server=server)
