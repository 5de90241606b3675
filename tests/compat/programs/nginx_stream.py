# SPDX-License-Identifier: Apache-2.0
# packages: nginx-light libnginx-mod-stream redis-server redis-tools curl
import compat
import web

TITLE = "nginx (stream)"
WHAT = "TCP proxying in front of redis and of itself, its PROXY protocol, a back end that is down"

CONFIG = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user www-data; worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
stream {{
  upstream redis {{ server 127.0.0.1:6399 max_fails=0; server 127.0.0.1:6379; }}
  server {{ listen 127.0.0.1:7000; proxy_pass redis; proxy_connect_timeout 5s; }}
  server {{ listen 127.0.0.1:7001; proxy_pass 127.0.0.1:8080; proxy_protocol on; }}
  server {{ listen 127.0.0.1:7002; return "{text}\\n"; }}
}}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5;
  server {{ listen 127.0.0.1:8080 proxy_protocol; root {dir}/www;
            location = /who {{ return 200 "$proxy_protocol_addr {text}\\n"; }} }}
}}
"""


def run(c):
    web.pages(c)
    c.write("nginx.conf", CONFIG.format(dir=c.dir, text=c.text))
    redis = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)
    server = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 7000, 7001, 7002, 8080)
    for i in range(4):
        c.client(["redis-cli", "-p", 7000, "set", f"key{i}", f"{c.text}{i}"])
    c.client(["redis-cli", "-p", 7000, "--pipe"], input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(3000)))
    c.client(["redis-cli", "-p", 7000, "mget", "key0", "key3", "k2999"])
    web.get(c, "http://127.0.0.1:7001/big.bin")
    web.get(c, "http://127.0.0.1:7001/who")
    web.several(c, "http://127.0.0.1:7001/page.txt", "http://127.0.0.1:7001/big.bin", "http://127.0.0.1:7001/page.txt")
    c.client([compat.PYTHON, "-c", "import socket; s = socket.create_connection(('127.0.0.1', 7002)); print(s.recv(99), s.recv(9))"])
    c.stop(server)
    c.stop(redis)
