# SPDX-License-Identifier: Apache-2.0
# packages: uwsgi-core uwsgi-plugin-python3 nginx-light curl
import os
import signal

import compat
import web

TITLE = "uWSGI"
WHAT = "prefork with threads, HTTP by itself and its own protocol behind nginx, uploads, streaming, reload under load"

APP = '''
import os
def application(env, start):
    body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
    path = env["PATH_INFO"]
    start("200 OK", [("Content-Type", "text/plain")])
    if path.endswith("/big"):
        return (b"%d TEXT\\n" % i for i in range(40000))
    return [f"TEXT {env['REQUEST_METHOD']} {len(body)} {env['REMOTE_ADDR']}\\n".encode()]
'''
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; client_max_body_size 8m;
  server {{ listen 127.0.0.1:8080; location / {{ include /etc/nginx/uwsgi_params; uwsgi_pass 127.0.0.1:3031; }} }}
}}
"""


def run(c):
    web.pages(c)
    c.write("app.py", APP.replace("TEXT", c.text))
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    server = c.server(["uwsgi_python3", "--master", "--processes", 2, "--threads", 4, "--socket", "127.0.0.1:3031", "--http-socket",
                       "127.0.0.1:8081", "--wsgi-file", f"{c.dir}/app.py", "--uid", "www-data", "--gid", "www-data",
                       "--die-on-term", "--disable-logging"], 3031, 8081)
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080)
    for port in (8080, 8081):
        base = f"http://127.0.0.1:{port}"
        for path in ("/", "/big", "/other"):
            web.get(c, base + path)
        web.get(c, base + "/", "--data-binary", f"@{c.dir}/www/big.bin")
        web.under_load(c, port, lambda: None, "/", 40)

    def reload():
        os.kill(server.pid, signal.SIGHUP)
        compat.sleep_until(lambda: "gracefully" in server.text(), "the reload")
    web.under_load(c, 8080, reload, "/", 100)
    web.get(c, "http://127.0.0.1:8080/big")
    c.stop(nginx)
    c.stop(server)
