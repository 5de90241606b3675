# SPDX-License-Identifier: Apache-2.0
# packages: haproxy nginx-light redis-server redis-tools curl
import os
import signal

import compat
import web

TITLE = "HAProxy"
WHAT = ("HTTP and TCP mode, threads, health checks, kept and reused back end connections, PROXY protocol, a back end that is down, "
        "reload under load with the listeners passed on (-x, -sf), statistics")

TIMEOUT = 180
CONFIG = """
global
  maxconn 200
  nbthread 2
  stats socket {dir}/haproxy.sock mode 600 level admin expose-fd listeners
  user www-data
  group www-data
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
  retries 1
frontend web
  mode http
  bind 127.0.0.1:8080
  bind [::1]:8080
  http-response set-header X-Version {version}
  use_backend gone if {{ path_beg /gone }}
  default_backend pages
backend pages
  mode http
  http-reuse always
  option httpchk GET /index.html
  server one 127.0.0.1:8081 check inter 200ms
  server two 127.0.0.1:8082 check inter 200ms send-proxy-v2 check-send-proxy
backend gone
  mode http
  server none 127.0.0.1:8099
listen cache
  mode tcp
  bind 127.0.0.1:6400
  option tcp-check
  tcp-check send PING\\r\\n
  tcp-check expect string +PONG
  server redis 127.0.0.1:6379 check inter 200ms
"""
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; default_type text/plain; client_max_body_size 8m; root {dir}/www;
  server {{ listen 127.0.0.1:8081; location = /post {{ proxy_pass http://127.0.0.1:8083; }} }}
  server {{ listen 127.0.0.1:8082 proxy_protocol; location = /post {{ proxy_pass http://127.0.0.1:8083; }} }}
  server {{ listen 127.0.0.1:8083; client_max_body_size 8m; location / {{ return 200 "$content_length\\n"; }} }}
}}
"""


def configure(c, version):
    c.write("haproxy.cfg", CONFIG.format(dir=c.dir, version=version))


def up(c):
    """Both health checks have been good: asked over the unix socket, which nothing protects."""
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'show stat\\n'); "
              "print(b''.join(iter(lambda: s.recv(9999), b'')).decode())")
    out = c.prepare([compat.PYTHON, "-c", script, f"{c.dir}/haproxy.sock"]).decode()
    rows = [line.split(",") for line in out.splitlines() if line]
    return sorted(f"{r[0]}/{r[1]} {r[17]}" for r in rows[1:] if len(r) > 17 and r[1] in ("one", "two", "redis"))


def run(c):
    web.pages(c)
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    configure(c, "one")
    redis = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8081, 8082)
    first = c.server(["haproxy", "-W", "-db", "-f", f"{c.dir}/haproxy.cfg", "-p", f"{c.dir}/haproxy.pid"], 8080, 6400)
    compat.sleep_until(lambda: all(" UP" in row for row in up(c)), "healthy back ends")
    base = "http://127.0.0.1:8080"
    for path in ("/", "/", "/page.txt", "/big.bin", "/big.bin", "/missing", "/gone"):
        web.get(c, base + path)
    web.get(c, "http://[::1]:8080/page.txt")
    web.get(c, base + "/post", "--data-binary", f"@{c.dir}/www/big.bin")
    web.several(c, *[base + p for p in ("/", "/big.bin", "/page.txt", "/gone", "/")])
    c.client(["redis-cli", "-p", 6400, "set", "key", c.text])
    c.client(["redis-cli", "-p", 6400, "--pipe"], input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(2000)))
    c.client(["redis-cli", "-p", 6400, "mget", "key", "k1999"])

    def reload():
        configure(c, "two")
        os.kill(first.pid, signal.SIGUSR2)
        compat.sleep_until(lambda: b"x-version: two" in web.get(c, base + "/", "-I", show=False).lower(), "the new configuration")
    web.under_load(c, 8080, reload)
    second = []

    def another():
        configure(c, "three")
        second.append(c.start(["haproxy", "-W", "-db", "-f", f"{c.dir}/haproxy.cfg", "-p", f"{c.dir}/haproxy2.pid", "-x",
                               f"{c.dir}/haproxy.sock", "-sf", str(first.pid)]))
        c.say("the first master ended:", first.wait(30))
    web.under_load(c, 8080, another)
    web.get(c, base + "/page.txt")
    c.client(["redis-cli", "-p", 6400, "get", "k7"])
    nginx.kill()
    nginx.wait()
    compat.sleep_until(lambda: not any("pages/" in row and " UP" in row for row in up(c)), "that they are down")
    web.get(c, base + "/page.txt")
    c.stop(second[0])
    c.stop(redis)
