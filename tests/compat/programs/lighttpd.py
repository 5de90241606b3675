# SPDX-License-Identifier: Apache-2.0
# packages: lighttpd php-cgi curl
import signal

import web

TITLE = "lighttpd"
WHAT = "static files, CGI, FastCGI over TCP to php-cgi, proxying to itself, uploads, ranges, keep-alive, graceful stop"

CONFIG = """
server.modules = ("mod_access", "mod_indexfile", "mod_cgi", "mod_fastcgi", "mod_proxy", "mod_staticfile")
server.document-root = "{dir}/www"
server.port = 8080
server.bind = "127.0.0.1"
server.errorlog = "{dir}/tmp/error.log"
server.username = "www-data"
server.groupname = "www-data"
server.upload-dirs = ("{dir}/tmp")
server.max-request-size = 16000
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain", ".bin" => "application/octet-stream")
index-file.names = ("index.html")
$HTTP["url"] =~ "^/cgi/" {{ cgi.assign = ("" => "") }}
$HTTP["url"] =~ "\\.php$" {{ fastcgi.server = ("" => (("host" => "127.0.0.1", "port" => 9000))) }}
$HTTP["url"] =~ "^/back/" {{
  proxy.server = ("" => (("host" => "127.0.0.1", "port" => 8081)))
  proxy.header = ("map-urlpath" => ("/back/" => "/"))
}}
$HTTP["url"] =~ "^/gone/" {{ proxy.server = ("" => (("host" => "127.0.0.1", "port" => 8099))) }}
$SERVER["socket"] == "127.0.0.1:8081" {{ }}
"""
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$REQUEST_METHOD $QUERY_STRING $REMOTE_ADDR {text}"
if [ "${CONTENT_LENGTH:-0}" != 0 ]; then cksum; fi
"""


def run(c):
    web.pages(c)
    c.directory("tmp", "www-data")
    c.directory("www/cgi")
    c.write("www/cgi/hello", CGI.replace("{text}", c.text), 0o755)
    c.write("www/hello.php", f'<?php echo "{c.text} ", $_SERVER["REQUEST_METHOD"], " ", '
                             'strlen(file_get_contents("php://input")), "\\n";')
    c.write("www/big.php", f'<?php for ($i = 0; $i < 40000; $i++) echo "$i {c.text}\\n";')
    c.write("lighttpd.conf", CONFIG.format(dir=c.dir))
    php = c.server(["php-cgi", "-n", "-b", "127.0.0.1:9000", "-d", "post_max_size=16M", "-d", "cgi.fix_pathinfo=1"], 9000,
                   extra={"PHP_FCGI_CHILDREN": "2"})
    server = c.server(["lighttpd", "-D", "-f", f"{c.dir}/lighttpd.conf"], 8080, 8081)
    base = "http://127.0.0.1:8080"
    for path in ("/", "/page.txt", "/big.bin", "/cgi/hello?a=b", "/hello.php", "/big.php", "/back/big.bin", "/back/cgi/hello",
                 "/missing"):
        web.get(c, base + path)
    web.get(c, base + "/gone/", body=False)
    web.get(c, base + "/big.bin", "-r", "1000000-1999999")
    web.get(c, base + "/cgi/hello", "--data-binary", f"@{c.dir}/www/big.bin", "-H", "Content-Type: text/plain")
    web.get(c, base + "/hello.php", "--data-binary", f"@{c.dir}/www/big.bin", "-H", "Content-Type: text/plain")
    web.get(c, base + "/back/hello.php", "-T", f"{c.dir}/www/big.bin")
    web.several(c, *[base + p for p in ("/", "/big.bin", "/hello.php", "/cgi/hello", "/back/page.txt")])
    web.under_load(c, 8080, lambda: None, "/hello.php", 30)
    c.stop(server, signal.SIGINT)
    c.stop(php)
