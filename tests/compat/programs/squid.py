# SPDX-License-Identifier: Apache-2.0
# packages: squid nginx-light curl wget
import web

TITLE = "Squid"
WHAT = "forward proxy with its cache, CONNECT with the client's own TLS inside, a refused port, a back end that is down, wget and curl"

CONFIG = """
http_port 127.0.0.1:3128
visible_hostname proxy
cache_effective_user proxy
pid_filename {dir}/run/squid.pid
cache_log {dir}/run/cache.log
access_log none
cache_mem 8 MB
maximum_object_size_in_memory 8 MB
coredump_dir {dir}/run
pinger_enable off
netdb_filename none
unlinkd_program /bin/true
shutdown_lifetime 1 second
acl tls port 8443
http_access deny CONNECT !tls
http_access allow localhost
http_access deny all
"""
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; default_type text/plain; root {dir}/www;
  server {{ listen 127.0.0.1:8080; location / {{ add_header Cache-Control "max-age=600"; }} }}
  server {{ listen 127.0.0.1:8443 ssl; ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; }}
}}
"""


def run(c):
    web.pages(c)
    c.directory("run", "proxy")
    c.prepare(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/key.pem", "-out",
               f"{c.dir}/cert.pem", "-days", 30, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    c.write("squid.conf", CONFIG.format(dir=c.dir))
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080, 8443)
    squid = c.server(["squid", "-N", "-f", f"{c.dir}/squid.conf"], 3128)
    proxy = ("-x", "http://127.0.0.1:3128")
    for path in ("/", "/page.txt", "/big.bin", "/big.bin", "/missing"):
        web.get(c, "http://127.0.0.1:8080" + path, *proxy)
    web.get(c, "http://127.0.0.1:8080/page.txt", *proxy, "-D", f"{c.dir}/headers", body=False)
    with open(f"{c.dir}/headers") as f:
        c.say("".join(line for line in f if line.startswith("X-Cache")))
    web.get(c, "https://127.0.0.1:8443/big.bin", *proxy, "--cacert", f"{c.dir}/cert.pem")
    c.client(["curl", "-sS", *proxy, "-k", "https://127.0.0.1:8080/"], err=True)
    web.get(c, "http://127.0.0.1:8099/", *proxy, body=False)
    c.client(["wget", "-q", "-O", f"{c.dir}/wgot", "http://127.0.0.1:8080/big.bin"],
             extra={"http_proxy": "http://127.0.0.1:3128"})
    with open(f"{c.dir}/wgot", "rb") as f:
        c.say(web.digest(f.read()))
    web.several(c, *["http://127.0.0.1:8080/page.txt"] * 3)
    c.stop(squid)
    c.stop(nginx)
