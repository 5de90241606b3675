# SPDX-License-Identifier: Apache-2.0
# packages: nginx-light libnginx-mod-stream curl
import os
import signal

import compat
import web

TITLE = "nginx"
WHAT = ("static files, sendfile, aio threads, gzip, ranges, keep-alive, proxy with upstream keep-alive and buffering off, "
        "reload under load, binary upgrade by USR2 under load, an environment of its own (env), unprivileged workers")

CONFIG = """
user www-data; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/error.log notice;
env TZ=KTM-5:45; env NOT_THERE;
events {{ worker_connections 256; }}
http {{
  access_log off; default_type text/plain; types {{ text/html html; }}
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5;
  upstream back {{ server 127.0.0.1:8081; keepalive 4; }}
  server {{
    listen 127.0.0.1:8080; listen [::1]:8080; root {dir}/www; client_max_body_size 8m;
    location / {{ sendfile on; tcp_nopush on; }}
    location /plain/ {{ alias {dir}/www/; sendfile off; output_buffers 2 32k; }}
    location /threads/ {{ alias {dir}/www/; sendfile on; aio threads; sendfile_max_chunk 256k; }}
    location /zip/ {{ alias {dir}/www/; gzip on; gzip_types text/plain; gzip_min_length 1; }}
    location /back/ {{ proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    location /flow/ {{ proxy_pass http://127.0.0.1:8081/; proxy_buffering off; proxy_request_buffering off; }}
    location /gone/ {{ proxy_pass http://127.0.0.1:8099/; }}
  }}
  server {{
    listen 127.0.0.1:8081 reuseport; root {dir}/www; client_max_body_size 8m;
    location = /echo {{ proxy_pass http://127.0.0.1:8082; }}
    location = /zone {{ return 200 "$time_local\\n"; }}
    location = /who {{ return 200 "$request_method $http_host $remote_addr $http_x_word {version}\\n"; }}
  }}
  server {{ listen 127.0.0.1:8082; client_max_body_size 8m; location / {{ return 200 "$content_length $request_method\\n"; }} }}
}}
"""


def configure(c, version):
    c.write("nginx.conf", CONFIG.format(dir=c.dir, version=version))


def pid(c):
    with open(os.path.join(c.dir, "nginx.pid")) as f:
        return int(f.read())


def run(c):
    c.replace(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "{date}")
    c.replace(r'ETag: "\w+-', 'ETag: "')
    c.replace(r"\d\d/\w{3}/\d{4}:[\d:]{8}", "{date}")
    os.chmod(c.dir, 0o755)
    web.pages(c)
    configure(c, "one")
    c.client(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"])  # it goes into the background
    for port in (8080, 8081, 8082):
        c.listening(port)
    base = "http://127.0.0.1:8080"
    for path in ("/", "/page.txt", "/big.bin", "/plain/big.bin", "/threads/big.bin", "/threads/page.txt", "/back/big.bin",
                 "/flow/big.bin", "/back/who", "/missing", "/gone/"):
        web.get(c, base + path)
    web.get(c, "http://[::1]:8080/page.txt")
    web.get(c, base + "/zip/page.txt", "--compressed")
    web.get(c, base + "/big.bin", "-r", "1000000-1999999")
    web.get(c, base + "/page.txt", "-I")
    web.get(c, base + "/back/echo", "--data-binary", f"@{c.dir}/www/big.bin")
    web.get(c, base + "/flow/echo", "-T", f"{c.dir}/www/big.bin")
    web.several(c, base + "/", base + "/big.bin", base + "/back/page.txt", base + "/page.txt")

    def reload():
        configure(c, "two")
        os.kill(pid(c), signal.SIGHUP)
        compat.sleep_until(lambda: b"two" in web.get(c, base + "/back/who", show=False), "the new configuration")
    web.under_load(c, 8080, reload, "/back/page.txt")

    def upgrade():
        old = pid(c)
        os.kill(old, signal.SIGUSR2)
        compat.sleep_until(lambda: os.path.exists(f"{c.dir}/nginx.pid.oldbin") and os.path.exists(f"{c.dir}/nginx.pid")
                           and pid(c) != old, "the new binary")
        os.kill(old, signal.SIGWINCH)
        os.kill(old, signal.SIGQUIT)
        compat.sleep_until(lambda: web.ended(old), "the old master's end")
    web.under_load(c, 8080, upgrade)
    web.get(c, base + "/back/who")
    # Started with nothing but what the env lines name: so the new binary is in the zone that they say.
    assert b"+0545" in web.get(c, base + "/back/zone")
    new = pid(c)
    os.kill(new, signal.SIGQUIT)
    compat.sleep_until(lambda: not os.path.exists(f"{c.dir}/nginx.pid"), "the new master's end")
    c.gone(8080)
