# SPDX-License-Identifier: Apache-2.0
"""Apache with one of its three process models: the same site for each."""
import os
import signal

import compat
import web

WHAT = ("static files with sendfile, keep-alive, ranges, CGI, mod_proxy with kept connections, a back end that is down, uploads, "
        "graceful restart under load, graceful stop, unprivileged workers")

CONFIG = """
ServerRoot {dir}
PidFile {dir}/apache.pid
ErrorLog {dir}/error.log
Mutex file:{dir} default
DefaultRuntimeDir {dir}
ServerName localhost
User www-data
Group www-data
Listen 127.0.0.1:8080
Listen [::1]:8080
Listen 127.0.0.1:8081
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule cgi_module {modules}/{cgi}.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
TypesConfig /etc/mime.types
{processes}
EnableSendfile On
KeepAlive On
DocumentRoot {dir}/www
Header set X-Version {version}
ScriptAlias /cgi/ {dir}/cgi/
{socket}
<Directory {dir}>
  Require all granted
</Directory>
ProxyPass /back/ http://127.0.0.1:8081/ keepalive=on
ProxyPass /once/ http://127.0.0.1:8081/ disablereuse=on
ProxyPass /gone/ http://127.0.0.1:8099/
"""
PROCESSES = {
    "prefork": "StartServers 3\nMinSpareServers 2\nMaxSpareServers 6\nMaxRequestWorkers 20",
    "worker": "StartServers 2\nThreadsPerChild 8\nMaxRequestWorkers 32",
    "event": "StartServers 2\nThreadsPerChild 8\nMaxRequestWorkers 32",
}
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$REQUEST_METHOD $QUERY_STRING $REMOTE_ADDR {text}"
if [ -n "$CONTENT_LENGTH" ]; then cksum; fi
"""


def configure(c, mpm, version):
    thread = mpm != "prefork"
    c.write("apache.conf", CONFIG.format(dir=c.dir, mpm=mpm, modules="/usr/lib/apache2/modules", version=version,
                                         processes=PROCESSES[mpm], cgi="mod_cgid" if thread else "mod_cgi",
                                         socket=f"ScriptSock {c.dir}/cgid.sock" if thread else "")
            .replace("cgi_module", "cgid_module" if thread else "cgi_module"))


def run(c, mpm):
    c.replace(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "{date}")
    c.replace(r'ETag: (?:W/)?"(\w+)-\w+', r'ETag: "\1')  # weak while the file is new
    web.pages(c)
    c.directory("cgi")
    c.write("cgi/hello", CGI.replace("{text}", c.text), 0o755)
    configure(c, mpm, "one")
    server = c.server(["apache2", "-f", f"{c.dir}/apache.conf", "-DFOREGROUND"], 8080, 8081)
    base = "http://127.0.0.1:8080"
    for path in ("/", "/page.txt", "/big.bin", "/cgi/hello?a=b", "/back/big.bin", "/back/cgi/hello?c", "/missing"):
        web.get(c, base + path)
    web.get(c, base + "/gone/", body=False)
    web.get(c, "http://[::1]:8080/page.txt")
    web.get(c, base + "/big.bin", "-r", "1000000-1999999")
    web.get(c, base + "/page.txt", "-I")
    web.get(c, base + "/cgi/hello", "--data-binary", f"@{c.dir}/www/big.bin")
    web.get(c, base + "/back/cgi/hello", "-T", f"{c.dir}/www/big.bin")
    web.several(c, *[base + p for p in ("/", "/big.bin", "/back/page.txt", "/cgi/hello", "/page.txt", "/back/")])

    def graceful():
        configure(c, mpm, "two")
        os.kill(server.pid, signal.SIGUSR1)
        compat.sleep_until(lambda: b"X-Version: two" in web.get(c, base + "/", "-I", show=False), "the new configuration")
    web.under_load(c, 8080, graceful, "/once/page.txt")
    web.get(c, base + "/big.bin")
    c.stop(server, signal.SIGWINCH)
