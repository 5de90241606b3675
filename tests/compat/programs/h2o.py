# SPDX-License-Identifier: Apache-2.0
# packages: h2o curl
import signal

import web

TITLE = "H2O"
WHAT = "static files and proxying in threads, HTTP/1 and HTTP/2 in clear"

CONFIG = """
user: www-data
num-threads: 2
pid-file: {dir}/run/h2o.pid
error-log: {dir}/run/error.log
listen: {{ host: 127.0.0.1, port: 8080 }}
listen: {{ host: 127.0.0.1, port: 8081 }}
hosts:
  "127.0.0.1:8080":
    paths:
      /back/: {{ proxy.reverse.url: "http://127.0.0.1:8081/" }}
      /gone/: {{ proxy.reverse.url: "http://127.0.0.1:8099/" }}
      /: {{ file.dir: {dir}/www }}
  "127.0.0.1:8081":
    paths:
      /: {{ file.dir: {dir}/www }}
"""


def run(c):
    web.pages(c)
    c.directory("run", "www-data")
    server = c.server(["h2o", "-c", c.write("h2o.conf", CONFIG.format(dir=c.dir))], 8080, 8081)
    base = "http://127.0.0.1:8080"
    for path in ("/", "/page.txt", "/big.bin", "/back/big.bin", "/missing"):
        web.get(c, base + path)
    web.get(c, base + "/gone/", body=False)
    for path in ("/", "/big.bin", "/back/page.txt"):
        web.get(c, base + path, "--http2-prior-knowledge")
    web.several(c, *[base + p for p in ("/", "/big.bin", "/back/page.txt", "/page.txt")])
    web.under_load(c, 8080, lambda: None, "/back/page.txt", 50)
    server.kill(signal.SIGTERM)
    c.say("ended:", server.wait(20))
