# SPDX-License-Identifier: Apache-2.0
# packages: php-cli php-curl curl
import os
import signal

import web
from programs import nginx_php_fpm

TITLE = "PHP (its own server and clients)"
WHAT = "the command line's web server with several workers; streams, asynchronous connects, stream_select, curl and curl_multi, sockets"

SOCKETS = """<?php
$l = stream_socket_server("tcp://127.0.0.1:7000", $no, $why);
$c = stream_socket_client("tcp://127.0.0.1:7000", $no, $why, 5);
$s = stream_socket_accept($l, 5);
stream_set_timeout($s, 0, 200000);
var_dump(fgets($s), stream_get_meta_data($s)["timed_out"]);
for ($i = 0; $i < 300; $i++) { fwrite($c, "$i $text\\n"); if (fgets($s) !== "$i $text\\n") echo "wrong\\n"; }
fwrite($s, str_repeat("$text\\n", 50000)); fclose($s);
$n = 0; while (($x = fgets($c)) !== false) $n++; echo "$n lines, end: ", var_export(feof($c), true), "\\n";
$s = stream_socket_client("tcp://127.0.0.1:7000"); stream_socket_sendto($s, "one"); $t = stream_socket_accept($l);
var_dump(stream_socket_recvfrom($t, 100, STREAM_PEEK), stream_socket_recvfrom($t, 100), stream_socket_get_name($t, false));
stream_copy_to_stream(fopen(__FILE__, "r"), $s); stream_socket_shutdown($s, STREAM_SHUT_WR);
var_dump(strlen(stream_get_contents($t)) == filesize(__FILE__));
"""


def run(c):
    web.pages(c)
    for name, text in nginx_php_fpm.PAGES.items():
        c.write("www/" + name, text.replace("$text", c.text))
    server = c.server(["php", "-n", "-d", "extension=curl.so", "-S", "127.0.0.1:8080", "-t", f"{c.dir}/www"], 8080,
                      extra={"PHP_CLI_SERVER_WORKERS": "4"})
    base = "http://127.0.0.1:8080"
    for path in ("/hello.php", "/big.php", "/index.html", "/big.bin", "/missing.txt", "/curl.php", "/streams.php"):
        web.get(c, base + path, body=path != "/missing.txt")
    web.get(c, base + "/hello.php", "--data-binary", f"@{c.dir}/www/big.bin", "-H", "Content-Type: text/plain")
    web.under_load(c, 8080, lambda: None, "/hello.php", 30)
    for name in ("curl.php", "streams.php"):
        c.client(["php", "-n", "-d", "extension=curl.so", f"{c.dir}/www/{name}"])
    c.client(["php", "-n", c.write("sockets.php", SOCKETS.replace("$text", c.text))])
    os.killpg(server.pid, signal.SIGINT)  # its workers, too, as from a terminal
    c.say("ended:", server.wait(20))
