# SPDX-License-Identifier: Apache-2.0
# packages: mini-httpd curl
import small
import web

TITLE = "mini_httpd"
WHAT = "a fork and stdio for every connection, CGI, unprivileged"


def run(c):
    web.pages(c)
    c.write("www/cgi-bin/hello", f"#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; echo \"{c.text} $QUERY_STRING\"\n", 0o755)
    server = c.server(["mini_httpd", "-D", "-p", 8080, "-d", f"{c.dir}/www", "-u", "nobody", "-c", "cgi-bin/*", "-l",
                       f"{c.dir}/log/mini"], 8080)
    web.get(c, "http://127.0.0.1:8080/cgi-bin/hello?a=b")
    small.ask(c, server=server, ranges=False)
