# SPDX-License-Identifier: Apache-2.0
# packages: micro-httpd xinetd curl
import small
import web

TITLE = "micro_httpd (under xinetd)"
WHAT = "a web server on its standard input and output, started by xinetd for every connection"

CONFIG = """
service web
{
  type = UNLISTED
  socket_type = stream
  protocol = tcp
  bind = 127.0.0.1
  port = 8080
  wait = no
  user = nobody
  cps = 1000 1
  instances = UNLIMITED
  server = /usr/sbin/micro-httpd
  server_args = {dir}/www
}
"""


def run(c):
    web.pages(c)
    server = c.server(["xinetd", "-dontfork", "-f", c.write("xinetd.conf", CONFIG.replace("{dir}", c.dir))], 8080)
    small.ask(c, server=server, ranges=False)
