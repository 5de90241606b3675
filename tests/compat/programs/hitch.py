# SPDX-License-Identifier: Apache-2.0
# packages: hitch nginx-light curl openssl
import web

TITLE = "Hitch"
WHAT = "its own TLS inside ours: workers, PROXY protocol to nginx, large files both ways, a back end in clear behind it"
ENCRYPTED = False

CONFIG = """
frontend = "[127.0.0.1]:8443"
backend = "[127.0.0.1]:8080"
pem-file = "{dir}/both.pem"
workers = 2
user = "nobody"
group = "nogroup"
write-proxy-v2 = on
daemon = off
tls-protos = TLSv1.2 TLSv1.3
"""
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; default_type text/plain; client_max_body_size 8m;
  server {{ listen 127.0.0.1:8080 proxy_protocol; root {dir}/www; location = /who {{ return 200 "$proxy_protocol_addr\\n"; }}
            location = /post {{ proxy_pass http://127.0.0.1:8081; }} }}
  server {{ listen 127.0.0.1:8081; location / {{ return 200 "$content_length\\n"; }} }}
}}
"""


def run(c):
    web.pages(c)
    c.prepare(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/key.pem", "-out",
               f"{c.dir}/cert.pem", "-days", 30, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    with open(f"{c.dir}/key.pem") as key, open(f"{c.dir}/cert.pem") as cert:
        c.write("both.pem", key.read() + cert.read())
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    c.write("hitch.conf", CONFIG.format(dir=c.dir))
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080, 8081)
    server = c.server(["hitch", "--config", f"{c.dir}/hitch.conf"], 8443)
    ours = ("--cacert", f"{c.dir}/cert.pem")
    base = "https://127.0.0.1:8443"
    for path in ("/", "/page.txt", "/big.bin", "/who", "/missing"):
        web.get(c, base + path, *ours)
    web.get(c, base + "/big.bin", *ours, "--tls-max", "1.2")
    web.get(c, base + "/post", *ours, "--data-binary", f"@{c.dir}/www/big.bin")
    c.client(["curl", "-sS", base], err=True)
    web.several(c, "http://127.0.0.1:8081/", "http://127.0.0.1:8081/x")
    c.stop(server)
    c.stop(nginx)
