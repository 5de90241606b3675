# SPDX-License-Identifier: Apache-2.0
# packages: tinyproxy-bin nginx-light curl
import web
from programs import squid

TITLE = "tinyproxy"
WHAT = "a proxy with poll and a thread a connection: plain requests, CONNECT with TLS inside, uploads, what is down"

CONFIG = """
Port 8888
Listen 127.0.0.1
User nobody
Group nogroup
Timeout 30
LogFile "{dir}/run/log"
LogLevel Info
MaxClients 20
ConnectPort 8443
"""


def run(c):
    web.pages(c)
    c.directory("run", "nobody")
    c.prepare(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/key.pem", "-out",
               f"{c.dir}/cert.pem", "-days", 30, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    c.write("nginx.conf", squid.NGINX.format(dir=c.dir))
    c.write("tinyproxy.conf", CONFIG.format(dir=c.dir))
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080, 8443)
    server = c.server(["tinyproxy", "-d", "-c", f"{c.dir}/tinyproxy.conf"], 8888)
    proxy = ("-x", "http://127.0.0.1:8888")
    for path in ("/", "/page.txt", "/big.bin", "/missing"):
        web.get(c, "http://127.0.0.1:8080" + path, *proxy)
    web.get(c, "https://127.0.0.1:8443/big.bin", *proxy, "--cacert", f"{c.dir}/cert.pem")
    web.get(c, "http://127.0.0.1:8099/", *proxy, body=False)
    c.client(["curl", "-sS", *proxy, "https://127.0.0.1:8080/"], err=True)
    web.get(c, "http://127.0.0.1:8080/page.txt", *proxy, "-d", f"@{c.dir}/www/page.txt", body=False)
    c.stop(server)
    c.stop(nginx)
