# SPDX-License-Identifier: Apache-2.0
"""nginx as the server that load generators and download programs are tried against."""
import web

NGINX = """
user www-data; worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; default_type text/plain; types {{ text/html html; }} keepalive_requests 100000; client_max_body_size 8m;
  server {{
    listen 127.0.0.1:8080{http2}; root {dir}/www; sendfile on;
    location = /moved {{ return 302 http://127.0.0.1:8080/page.txt; }}
    location = /post {{ proxy_pass http://127.0.0.1:8081; }}
    location = /count {{ proxy_pass http://127.0.0.1:8081; }}
  }}
  server {{ listen 127.0.0.1:8081; location / {{ return 200 "$request_method $content_length {text}\\n"; }} }}
}}
"""
BASE = "http://127.0.0.1:8080"


def server(c, http2=False):
    web.pages(c)
    c.write("nginx.conf", NGINX.format(dir=c.dir, text=c.text, http2=" http2" if http2 else ""))
    return c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080, 8081)


def told(c, path):
    with open(path, "rb") as f:
        c.say(path.rpartition("/")[2], web.digest(f.read()))
