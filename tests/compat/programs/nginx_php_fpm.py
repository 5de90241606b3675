# SPDX-License-Identifier: Apache-2.0
# packages: nginx-light php-fpm php-curl php-cli curl
import web

TITLE = "PHP-FPM behind nginx, over TCP"
WHAT = ("FastCGI with and without keep-alive, large answers and uploads, PHP's curl, streams, sockets and stream_select as "
        "clients of the same server, graceful end")
NOTE = "PHP-FPM accepts on number 0: connections there are the record engine's"

FPM = """
[global]
error_log = {dir}/fpm.log
daemonize = no
[www]
user = www-data
group = www-data
listen = 127.0.0.1:9000
listen.allowed_clients = 127.0.0.1
pm = static
pm.max_children = 3
php_admin_value[upload_tmp_dir] = {dir}/tmp
php_admin_value[post_max_size] = 16M
clear_env = no
"""
NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; client_max_body_size 16m;
  upstream php {{ server 127.0.0.1:9000; }}
  upstream kept {{ server 127.0.0.1:9000; keepalive 1; }}
  server {{
    listen 127.0.0.1:8080; root {dir}/www; include /etc/nginx/fastcgi_params;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    location /kept/ {{ rewrite ^/kept(/.*)$ $1 break; fastcgi_pass kept; fastcgi_keep_conn on;
                       fastcgi_param SCRIPT_FILENAME $document_root$uri; }}
    location ~ \\.php$ {{ fastcgi_pass php; }}
    location / {{ }}
  }}
}}
"""
PAGES = {
    "hello.php": '<?php header("X-Word: here"); echo "$text ", $_SERVER["REMOTE_ADDR"], " ", $_SERVER["REQUEST_METHOD"], '
                 '" ", strlen(file_get_contents("php://input")), "\\n";',
    "big.php": '<?php for ($i = 0; $i < 40000; $i++) echo "$i $text\\n";',
    "curl.php": """<?php
$one = curl_init("http://127.0.0.1:8080/page.txt"); curl_setopt($one, CURLOPT_RETURNTRANSFER, true);
echo strlen(curl_exec($one)), " ", curl_getinfo($one, CURLINFO_RESPONSE_CODE), "\\n";
$many = curl_multi_init(); $all = [];
for ($i = 0; $i < 6; $i++) { $h = curl_init("http://127.0.0.1:8080/big.bin"); curl_setopt($h, CURLOPT_RETURNTRANSFER, true);
  curl_multi_add_handle($many, $h); $all[] = $h; }
do { curl_multi_exec($many, $running); curl_multi_select($many); } while ($running);
foreach ($all as $h) echo md5(curl_multi_getcontent($h)), "\\n";
""",
    "streams.php": """<?php
echo md5(file_get_contents("http://127.0.0.1:8080/big.bin")), "\\n";
$f = fsockopen("127.0.0.1", 8080, $no, $why, 5); fwrite($f, "GET /index.html HTTP/1.0\\r\\n\\r\\n");
while (!feof($f)) $last = fgets($f) ?: $last; echo $last;
$a = []; for ($i = 0; $i < 3; $i++) { $a[$i] = stream_socket_client("tcp://127.0.0.1:8080", $no, $why, 5,
  STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT); stream_set_blocking($a[$i], false); }
$got = array_fill(0, 3, ""); $sent = [];
while ($a) { $r = $a; $w = array_diff_key($a, $sent); $e = null; stream_select($r, $w, $e, 10);
  foreach ($w as $i => $s) { fwrite($s, "GET /page.txt HTTP/1.0\\r\\n\\r\\n"); $sent[$i] = 1; }
  foreach ($r as $i => $s) { $got[$i] .= $d = fread($s, 8192); if ($d === "" && feof($s)) { fclose($s); unset($a[$i]); } } }
foreach ($got as $g) echo strlen(explode("\\r\\n\\r\\n", $g, 2)[1]), "\\n";
$s = @fsockopen("127.0.0.1", 8099, $no, $why, 5); echo $s === false ? "$why\\n" : "connected\\n";
""",
}


def run(c):
    web.pages(c)
    c.directory("tmp", "www-data")
    for name, text in PAGES.items():
        c.write("www/" + name, text.replace("$text", c.text))
    c.write("fpm.conf", FPM.format(dir=c.dir))
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    fpm = c.server(["php-fpm8.2", "-F", "-n", "-y", f"{c.dir}/fpm.conf", "-d", "extension=curl.so"], 9000)
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080)
    base = "http://127.0.0.1:8080"
    for path in ("/hello.php", "/big.php", "/kept/hello.php", "/kept/big.php", "/kept/hello.php", "/missing.php", "/curl.php",
                 "/streams.php"):
        web.get(c, base + path)
    web.get(c, base + "/hello.php", "--data-binary", f"@{c.dir}/www/big.bin")
    web.several(c, *[base + "/hello.php"] * 5)
    web.under_load(c, 8080, lambda: None, "/hello.php", 30)
    c.stop(nginx)
    c.stop(fpm)
