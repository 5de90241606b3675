# SPDX-License-Identifier: Apache-2.0
# packages: fcgiwrap spawn-fcgi nginx-light curl
import os
import signal

import web

TITLE = "fcgiwrap (by spawn-fcgi)"
WHAT = "a listener on number 0 from spawn-fcgi, prefork, CGI programs behind nginx"

NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; client_max_body_size 8m;
  server {{ listen 127.0.0.1:8080; root {dir}/www; include /etc/nginx/fastcgi_params;
            location / {{ fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass 127.0.0.1:9001; }} }}
}}
"""
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$REQUEST_METHOD $QUERY_STRING {text}"
if [ "${CONTENT_LENGTH:-0}" != 0 ]; then cksum; fi
if [ "$QUERY_STRING" = big ]; then cat big.bin; fi
"""


def run(c):
    web.pages(c)
    c.write("www/hello", CGI.replace("{text}", c.text), 0o755)
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080)
    server = c.server(["spawn-fcgi", "-n", "-a", "127.0.0.1", "-p", 9001, "-u", "www-data", "-g", "www-data", "--",
                       "/usr/sbin/fcgiwrap", "-c", "2"], 9001)
    base = "http://127.0.0.1:8080"
    for path in ("/hello?a", "/hello?big", "/missing"):
        web.get(c, base + path)
    web.get(c, base + "/hello", "--data-binary", f"@{c.dir}/www/page.txt")
    web.under_load(c, 8080, lambda: None, "/hello?b", 20)
    os.killpg(server.pid, signal.SIGTERM)  # its workers, too
    c.say("ended:", server.wait(20))
    c.stop(nginx)
