# SPDX-License-Identifier: Apache-2.0
# packages: dante-server microsocks nginx-light curl
import loaded
import web

TITLE = "SOCKS (Dante, MicroSocks)"
NOTE = "Dante's processes pass connections on to each other"
WHAT = "SOCKS 4, 5 and with names, by curl through either; large files both ways, what is down, what is not allowed"

DANTE = """
logoutput: {dir}/run/dante.log
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 127.0.0.1/32 port = 8081 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""


def run(c):
    nginx = loaded.server(c)
    c.directory("run", "nobody")
    dante = c.server(["danted", "-f", c.write("dante.conf", DANTE.format(dir=c.dir)), "-p", f"{c.dir}/run/pid"], 1080)
    micro = c.server(["microsocks", "-i", "127.0.0.1", "-p", "1081"], 1081)
    for port in (1080, 1081):
        for kind in ("socks5", "socks5h") + (("socks4",) if port == 1080 else ()):
            for path in ("/", "/big.bin"):
                web.get(c, loaded.BASE + path, "-x", f"{kind}://127.0.0.1:{port}")
        web.get(c, loaded.BASE + "/post", "-T", f"{c.dir}/www/big.bin", "-x", f"socks5://127.0.0.1:{port}")
        c.client(["curl", "-sS", "-o", "/dev/null", "-x", f"socks5://127.0.0.1:{port}", "http://127.0.0.1:8099/"])
    c.client(["curl", "-sS", "-o", "/dev/null", "-x", "socks5://127.0.0.1:1080", "http://127.0.0.1:8081/"])
    c.stop(micro)
    dante.stop()
    c.stop(nginx)
