# SPDX-License-Identifier: Apache-2.0
# packages: aria2 nginx-light
import loaded

TITLE = "aria2"
WHAT = "one file over several connections at once, resumed, and its remote control over HTTP"


def run(c):
    nginx = loaded.server(c)
    c.client(["aria2c", "-q", "--no-conf", "-x", 4, "-s", 4, "-k", "1M", "-d", c.dir, "-o", "one", loaded.BASE + "/big.bin"])
    loaded.told(c, f"{c.dir}/one")
    c.client(["aria2c", "-q", "--no-conf", "-Z", "-d", c.dir, loaded.BASE + "/page.txt", loaded.BASE + "/index.html"])
    loaded.told(c, f"{c.dir}/page.txt")
    c.client(["aria2c", "-q", "--no-conf", "-d", c.dir, loaded.BASE + "/missing"])
    server = c.server(["aria2c", "-q", "--no-conf", "--enable-rpc", "--rpc-listen-port=6800", "-d", c.dir], 6800)
    c.client(["curl", "-sS", "-d", '{"jsonrpc":"2.0","id":"1","method":"aria2.changeGlobalOption","params":[{"max-download-limit":"0"}]}',
              "http://127.0.0.1:6800/jsonrpc"])
    c.client(["curl", "-sS", "-d", '{"jsonrpc":"2.0","id":"2","method":"aria2.getVersion"}', "http://127.0.0.1:6800/jsonrpc"])
    c.stop(server)
    c.stop(nginx)
