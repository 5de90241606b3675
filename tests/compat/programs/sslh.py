# SPDX-License-Identifier: Apache-2.0
# packages: sslh nginx-light redis-server redis-tools curl openssl
import loaded
import web

TITLE = "sslh"
WHAT = "one port for HTTP, TLS and the rest: what the first bytes say decides, by select and by fork"


def run(c):
    nginx = loaded.server(c)
    redis = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)
    for name, port in (("sslh", 7000), ("sslh-select", 7001)):
        server = c.server([name, "-f", "-u", "nobody", "-p", f"127.0.0.1:{port}", "--http", "127.0.0.1:8080", "--anyprot", "127.0.0.1:6379",
                           "-P", f"{c.dir}/{name}.pid"], port)
        for path in ("/", "/page.txt", "/big.bin"):
            web.get(c, f"http://127.0.0.1:{port}" + path)
        c.client(["redis-cli", "-p", port, "set", "key", c.text])
        c.client(["redis-cli", "-p", port, "get", "key"])
        if name == "sslh":  # the one with select loses connections under load natively, too
            web.under_load(c, port, lambda: None, "/page.txt", 20)
        server.stop()
    c.stop(redis)
    c.stop(nginx)
