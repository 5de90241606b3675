# SPDX-License-Identifier: Apache-2.0
"""The stage of the benchmarks: processes, certificates, and the four ways to protect a connection.

A variant says how a server is started and how a client is pointed at it; what is measured never knows which
it is. Everything is on loopback, in one temporary directory, and gone at the end.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

CIPHER = "TLS_AES_128_GCM_SHA256"  # the same for all, so that the cipher is not what differs


class Unavailable(Exception):
    """A variant cannot run here; the text says why."""


class Stage:
    def __init__(self, build, directory, ports):
        self.build, self.dir = os.path.abspath(build), directory
        self.next_port = ports
        self.processes = []
        self.certs = None

    def port(self):
        return self.port_block(1)[0]

    def port_block(self, count):
        """Ports in a row that nobody has: another run may be going on."""
        while True:
            block = range(self.next_port, self.next_port + count)
            self.next_port += count
            if all(free(port) for port in block):
                return list(block)

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, argv, env=None, **keys):
        """A background process with its output in a file; ends with the stage."""
        log = open(self.path(f"{len(self.processes):02d}-{os.path.basename(argv[0])}.log"), "wb")
        process = subprocess.Popen(argv, env=env, stdin=keys.pop("stdin", subprocess.DEVNULL),
                                   stdout=keys.pop("stdout", log), stderr=log, **keys)
        process.log = log.name
        log.close()
        self.processes.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        for process in reversed(self.processes):
            self.stop(process)

    def certificates(self):
        """A P-256 CA and one leaf in svid.pem, key.pem, bundle.pem, as an SVID would be, by the openssl command."""
        if self.certs:
            return self.certs
        d = self.path("certs")
        os.mkdir(d)
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        with open(f"{d}/leaf.ext", "w") as f:
            f.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                    "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=URI:spiffe://example.org/bench\n")
        for argv in (
            ["req", "-x509", *new_key, "-keyout", f"{d}/ca-key.pem", "-out", f"{d}/bundle.pem", "-days", "2",
             "-subj", "/O=bench CA"],
            ["req", "-new", *new_key, "-keyout", f"{d}/key.pem", "-out", f"{d}/leaf.csr", "-subj", "/O=bench"],
            ["x509", "-req", "-in", f"{d}/leaf.csr", "-CA", f"{d}/bundle.pem", "-CAkey", f"{d}/ca-key.pem",
             "-CAcreateserial", "-days", "1", "-extfile", f"{d}/leaf.ext", "-out", f"{d}/svid.pem"],
        ):
            subprocess.run(["openssl", *argv], check=True, capture_output=True)
        self.certs = d
        return d


def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_port(port, process, seconds=15):
    """Until something accepts on the port; raises with the process's log when it is gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Unavailable(f"{process.args[0]} does not listen on {port}: " + tail(process.log))


def tail(path, size=600):
    with open(path, "rb") as f:
        return f.read()[-size:].decode(errors="replace").strip()


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")


class Plain:
    """No protection at all: what the ratios are of."""
    name = "plain"

    def __init__(self, stage):
        self.stage = stage

    def redis(self):
        """Starts a server; returns the redis-benchmark arguments that reach it."""
        need("redis-server", "redis-benchmark")
        port = self.stage.port()
        wait_port(port, self.stage.start(redis_command("--port", str(port))))
        return ["-p", str(port)]

    def client_env(self):
        return None

    def conns_server(self, what="serve"):
        """Starts tests/bench/conns serve or sink; returns (process, port, arguments for its clients)."""
        port = self.stage.port()
        process = self.stage.start([self.stage.path("conns"), what, str(port)])
        wait_port(port, process)
        return process, port, []


def redis_command(*extra):
    return ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no",
            "--protected-mode", "no", "--maxclients", "4000", *extra]


class OwnTls(Plain):
    """The program's own mutual TLS 1.3."""
    name = "own mTLS"

    def redis(self):
        need("redis-server", "redis-benchmark", "openssl")
        c, port = self.stage.certificates(), self.stage.port()
        wait_port(port, self.stage.start(redis_command(
            "--port", "0", "--tls-port", str(port), "--tls-cert-file", f"{c}/svid.pem", "--tls-key-file", f"{c}/key.pem",
            "--tls-ca-cert-file", f"{c}/bundle.pem", "--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.3",
            "--tls-ciphersuites", CIPHER)))
        return ["-p", str(port), "--tls", "--cert", f"{c}/svid.pem", "--key", f"{c}/key.pem", "--cacert",
                f"{c}/bundle.pem", "--tls-ciphersuites", CIPHER]

    def conns_server(self, what="serve"):
        c, port = self.stage.certificates(), self.stage.port()
        process = self.stage.start([self.stage.path("conns"), "--tls", c, what, str(port)])
        wait_port(port, process)
        return process, port, ["--tls", c]


class Stunnel(Plain):
    """A pair of stunnels, mutual TLS 1.3 between them."""
    name = "stunnel"

    def tunnel(self, service, accept, connect, client):
        c = self.stage.certificates()
        path = self.stage.path(f"stunnel-{service}.conf")
        with open(path, "w") as f:
            f.write(f"foreground = yes\npid =\ndebug = 3\nsyslog = no\n[{service}]\nclient = {client}\n"
                    f"accept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{connect}\ncert = {c}/svid.pem\n"
                    f"key = {c}/key.pem\nCAfile = {c}/bundle.pem\nverifyChain = yes\nsslVersion = TLSv1.3\n"
                    f"ciphersuites = {CIPHER}\nTIMEOUTclose = 1\nsocket = l:TCP_NODELAY=1\n"
                    "socket = r:TCP_NODELAY=1\n")
        process = self.stage.start(["stunnel4", path])
        wait_port(accept, process)

    def redis(self):
        need("stunnel4", "openssl")
        plain = super().redis()[1]
        middle, front = self.stage.port(), self.stage.port()
        self.tunnel("server", middle, plain, "no")
        self.tunnel("client", front, middle, "yes")
        return ["-p", str(front)]


class Envoy(Plain):
    """A pair of Envoys, where tests/peers/prepare has fetched one. Envoy resumes sessions."""
    name = "Envoy"

    def redis(self):
        binary = os.path.join(self.stage.build, "peers", "envoy", "bin", "envoy")
        if not os.path.exists(binary):
            raise Unavailable(f"{binary} is not there (tests/peers/prepare fetches it)")
        plain = int(super().redis()[1])
        middle, front = self.stage.port(), self.stage.port()
        self.proxy(binary, middle, plain, "Downstream")
        self.proxy(binary, front, middle, "Upstream")
        return ["-p", str(front)]

    def proxy(self, binary, listen, connect, which):
        c = self.stage.certificates()
        context = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                   "tls_certificates": [{"certificate_chain": {"filename": f"{c}/svid.pem"},
                                         "private_key": {"filename": f"{c}/key.pem"}}],
                   "validation_context": {"trusted_ca": {"filename": f"{c}/bundle.pem"}}}
        secure = {"name": "tls", "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{which}TlsContext",
            "common_tls_context": context}}
        chain = {"filters": [{"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "bench", "cluster": "to"}}]}
        cluster = {"name": "to", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": "to", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(connect)}}]}]}}
        if which == "Downstream":
            secure["typed_config"]["require_client_certificate"] = True
            chain["transport_socket"] = secure
        else:
            cluster["transport_socket"] = secure
        path = self.stage.path(f"envoy-{listen}.json")
        with open(path, "w") as f:
            json.dump({"static_resources": {"clusters": [cluster], "listeners": [
                {"name": "from", "address": socket_address(listen), "filter_chains": [chain]}]}}, f)
        wait_port(listen, self.stage.start([binary, "-c", path, "--disable-hot-restart", "--concurrency", "2", "-l",
                                            "error"]), seconds=30)


def socket_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Svidwrap(Plain):
    """svidwrap on both sides, with its dev agent and a daemon of its own."""
    name = "svidwrap"
    rule = ""

    def __init__(self, stage):
        super().__init__(stage)
        self.instance = f"bench{os.getpid()}{type(self).__name__}"
        self.tool = os.path.join(stage.build, "svidwrap")
        self.shim = os.path.join(stage.build, "libsvidwrap.so")
        for file in (self.tool, self.shim):
            if not os.path.exists(file):
                raise Unavailable(f"{file} is not built")
        self.ports = stage.port_block(8)
        self.environment()
        agent = stage.start([self.tool, "dev-agent", "--socket", self.path("agent.sock"), "--config",
                             self.path("dev-agent.yaml")])
        wait_path(self.path("agent.sock"), agent)
        self.daemon = stage.start([self.tool, "daemon", "--foreground", "--config", self.path("svidwrap.yaml")],
                                  env=self.env(preload=False))
        time.sleep(0.5)
        if self.daemon.poll() is not None:
            raise Unavailable("svidwrap daemon: " + tail(self.daemon.log))

    def path(self, name):
        return self.stage.path(f"{type(self).__name__}-{name}")

    def environment(self):
        entries = "".join(f'  - {{ spiffe_id: spiffe://example.org/{name}, selectors: ["unix:path:{path}"] }}\n'
                          for name, path in (("redis", exe("redis-server")), ("client", exe("redis-benchmark")),
                                             ("conns", self.stage.path("conns"))))
        with open(self.path("dev-agent.yaml"), "w") as f:
            f.write("trust_domain: example.org\nsvid_ttl: 1h\nentries:\n" + entries)
        ports, allow = f"{self.ports[0]}-{self.ports[-1]}", '["spiffe://example.org/**"]'
        with open(self.path("svidwrap.yaml"), "w") as f:
            f.write(f"workload_api: {{ socket: unix://{self.path('agent.sock')} }}\n"
                    f"log: {{ to: {self.path('svidwrap.log')}, level: info }}\n"
                    f"audit: {{ to: {self.path('audit.log')} }}\n"
                    f'listen:\n  - {{ port: "{ports}", mode: enforce, {self.rule}allow: {allow} }}\n'
                    f'connect:\n  - {{ to: "127.0.0.1:{ports}", mode: enforce, {self.rule}allow: {allow} }}\n')

    def env(self, preload=True):
        env = dict(os.environ, SVIDWRAP_CONFIG=self.path("svidwrap.yaml"),
                   SVIDWRAP_INSTANCE=self.instance, SPIFFE_ENDPOINT_SOCKET="unix://" + self.path("agent.sock"))
        if preload:
            env["LD_PRELOAD"] = self.shim
        return env

    def client_env(self):
        return self.env()

    def daemon_pids(self):
        """The supervisor and its worker."""
        with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children") as f:
            return [self.daemon.pid, *map(int, f.read().split())]

    def wrapped(self, argv, port):
        process = self.stage.start(argv, env=self.env())
        end = time.monotonic() + 20
        while not listening(port):
            if process.poll() is not None or time.monotonic() > end:
                raise Unavailable(f"{argv[0]} under svidwrap does not listen: " + tail(process.log))
            time.sleep(0.02)
        return process

    def redis(self):
        need("redis-server", "redis-benchmark")
        port = self.ports.pop(0)
        self.wrapped(redis_command("--port", str(port)), port)
        return ["-p", str(port)]

    def conns_server(self, what="serve"):
        port = self.ports.pop(0)
        return self.wrapped([self.stage.path("conns"), what, str(port)], port), port, []


class SvidwrapFull(Svidwrap):
    """Every handshake a full one: for the tables of new connections only."""
    name = "no resumption"
    rule = "resumption: off, "


def listening(port):
    """By the kernel's table: a probe would cost the daemon a handshake."""
    with open("/proc/net/tcp") as f:
        return re.search(r": [0-9A-F]{8}:%04X 00000000:0000 0A " % port, f.read()) is not None


def wait_path(path, process, seconds=15):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            raise Unavailable(f"{process.args[1]}: " + tail(process.log))
        time.sleep(0.02)


def exe(program):
    return os.path.realpath(shutil.which(program) or program)


VARIANTS = [Plain, Svidwrap, SvidwrapFull, OwnTls, Stunnel, Envoy]
