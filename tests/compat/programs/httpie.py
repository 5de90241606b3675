# SPDX-License-Identifier: Apache-2.0
# packages: httpie nginx-light
import loaded

TITLE = "HTTPie"
WHAT = "GET, POST of JSON, redirects, a download, what is missing and what is down"


def run(c):
    nginx = loaded.server(c)
    c.replace(r"^(Date|Last-Modified|ETag): .*", r"\1")

    def http(*words):
        c.client(["http", "--ignore-stdin", "--pretty=none", *words])
    http("--print=hb", loaded.BASE + "/index.html")
    http("--print=b", "POST", loaded.BASE + "/post", f"word={c.text}", "number:=3")
    http("--print=b", "--follow", loaded.BASE + "/moved")
    http("--print=h", "--check-status", loaded.BASE + "/missing")
    http("--download", "--quiet", "--output", f"{c.dir}/file", loaded.BASE + "/big.bin")
    loaded.told(c, f"{c.dir}/file")
    http("--print=b", "http://127.0.0.1:8099/")
    c.stop(nginx)
