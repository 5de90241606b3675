# SPDX-License-Identifier: Apache-2.0
# packages: privoxy nginx-light curl
import web
from programs import squid

TITLE = "Privoxy"
WHAT = "a filtering proxy with select and a thread a connection: plain requests kept alive, CONNECT with TLS inside, what is down"


def run(c):
    web.pages(c)
    c.directory("run", "nobody")
    c.prepare(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/key.pem", "-out",
               f"{c.dir}/cert.pem", "-days", 30, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    c.write("nginx.conf", squid.NGINX.format(dir=c.dir))
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080, 8443)
    server = c.server(["privoxy", "--no-daemon", "--user", "nobody.nogroup", c.write("privoxy.conf", f"""
confdir /etc/privoxy
logdir {c.dir}/run
logfile log
listen-address 127.0.0.1:8118
keep-alive-timeout 5
tolerate-pipelining 1
""")], 8118)
    proxy = ("-x", "http://127.0.0.1:8118")
    for path in ("/", "/page.txt", "/big.bin", "/missing"):
        web.get(c, "http://127.0.0.1:8080" + path, *proxy)
    web.get(c, "https://127.0.0.1:8443/big.bin", *proxy, "--cacert", f"{c.dir}/cert.pem")
    web.get(c, "http://127.0.0.1:8099/", *proxy, body=False)
    web.get(c, "http://127.0.0.1:8080/page.txt", *proxy, "-d", f"@{c.dir}/www/page.txt", body=False)
    c.stop(server)
    c.stop(nginx)
