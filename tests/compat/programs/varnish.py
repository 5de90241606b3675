# SPDX-License-Identifier: Apache-2.0
# packages: varnish nginx-light curl gcc
import re

import compat
import web

TITLE = "Varnish"
WHAT = ("cache in front of nginx, hits and misses, probes, streaming, piping, gzip, a restarted child, bans and VCL over varnishadm")

VCL = """
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "8081"; .probe = { .url = "/index.html"; .interval = 300ms; .window = 2; .threshold = 1; } }
sub vcl_recv { if (req.url ~ "^/pipe") { return (pipe); } if (req.url ~ "^/pass") { return (pass); } }
sub vcl_backend_response { set beresp.ttl = 600s; }
sub vcl_deliver { set resp.http.X-Hits = obj.hits; unset resp.http.Via; }
"""
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; default_type text/plain;
  server {{ listen 127.0.0.1:8081; root {dir}/www; location /pipe/ {{ alias {dir}/www/; }} location /pass/ {{ alias {dir}/www/; }} }}
}}
"""


def run(c):
    c.replace(r"XID: \d+", "XID")
    web.pages(c)
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    vcl = c.write("default.vcl", VCL)
    c.write("secret", "none of it\n", 0o600)
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8081)
    work = c.directory("varnish", "varnish")
    varnish = c.server(["varnishd", "-F", "-a", "127.0.0.1:8080", "-T", "127.0.0.1:6082", "-S", f"{c.dir}/secret", "-f", vcl,
                        "-n", work, "-s", "malloc,32m", "-j", "unix,user=vcache", "-p", "thread_pools=1"], 8080, 6082, timeout=60)

    def admin(*words, show=True):
        return c.client(["varnishadm", "-T", "127.0.0.1:6082", "-S", f"{c.dir}/secret", *words], show=show)

    compat.sleep_until(lambda: "healthy" in admin("backend.list", show=False), "a healthy back end")
    base = "http://127.0.0.1:8080"
    for path in ("/", "/page.txt", "/big.bin", "/big.bin", "/pass/big.bin", "/pipe/big.bin", "/missing"):
        web.get(c, base + path)
    head = web.get(c, base + "/page.txt", "-D", f"{c.dir}/head", show=False)
    with open(f"{c.dir}/head") as f:
        c.say(len(head), re.findall(r"X-Hits: \d+", f.read()))
    web.several(c, *[base + p for p in ("/", "/big.bin", "/pass/page.txt", "/page.txt")])
    admin("ban", "req.url", "~", "page")
    web.get(c, base + "/page.txt", "-D", f"{c.dir}/head", body=False)
    with open(f"{c.dir}/head") as f:
        c.say(re.findall(r"X-Hits: \d+", f.read()))
    admin("ping", show=False)
    admin("stop")
    admin("start")
    c.listening(8080)
    web.under_load(c, 8080, lambda: None, "/page.txt", 50)
    nginx.kill()
    nginx.wait()
    compat.sleep_until(lambda: "sick" in admin("backend.list", show=False), "that it is sick")
    web.get(c, base + "/page.txt")
    web.get(c, base + "/pass/new", body=False)
    c.stop(varnish)
