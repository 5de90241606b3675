# SPDX-License-Identifier: Apache-2.0
"""Host names in connect rules: covered by the name that a program asks its resolver for, and by the addresses that
the daemon finds for it. Programs and the daemon live in mount namespaces with an /etc/hosts of the test's own, so
that each can be told something else."""
import json
import os
import re
import socket
import struct
import subprocess
import threading
import urllib.request

from harness import NATIVE, PYTHON, SVIDWRAP, TD, Skip, entry, until, which

ID = f"{TD}/app"
HOME = "127.0.0.77"  # where db.test is

SERVER = r"""
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path[1:].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    address_family = __import__("socket").AF_INET
Server(("0.0.0.0", int(sys.argv[1])), Echo).serve_forever()
"""
# Asks at argv[1]:argv[2] for the marker argv[3], in the way of argv[4].
CLIENT = r"""
import ctypes, errno, socket, sys
def later(name):  # GAI_NOWAIT, and asked about until it is there
    libc = ctypes.CDLL(None)
    class Addrinfo(ctypes.Structure):
        _fields_ = [("i", ctypes.c_int * 4), ("len", ctypes.c_uint), ("addr", ctypes.POINTER(ctypes.c_ubyte * 8))]
    class Request(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("service", ctypes.c_char_p), ("request", ctypes.c_void_p),
                    ("result", ctypes.POINTER(Addrinfo)), ("rest", ctypes.c_long * 8)]
    request = Request(name=name.encode())
    assert libc.getaddrinfo_a(1, (ctypes.POINTER(Request) * 1)(ctypes.pointer(request)), 1, None) == 0
    while libc.gai_error(ctypes.byref(request)) == -100:
        pass
    return socket.inet_ntoa(bytes(request.result.contents.addr.contents[4:8]))
host, port, marker, how = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
try:
    if how == "create_connection":
        s = socket.create_connection((host, port), timeout=20)
    else:
        s = socket.socket()
        s.settimeout(20)
        if how == "getaddrinfo_a":
            host = later(host)
        elif how == "gethostbyname":
            host = socket.gethostbyname(host)
        elif how == "gethostbyname_ex":
            host = socket.gethostbyname_ex(host)[2][0]
        s.connect((host, port))
    s.sendall(f"GET /{marker} HTTP/1.0\r\n\r\n".encode())
    got = b""
    while True:
        piece = s.recv(1000)
        if not piece:
            break
        got += piece
    print(got.decode().rpartition("\r\n")[2])
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""
NODE = r"""
const [port, marker, server] = process.argv.slice(1);
const http = require('http'), dns = require('dns');
const get = (host) => http.get({host, port, path: '/' + marker}, (r) => r.pipe(process.stdout));
if (server === undefined)
  get('db.test');
else {
  const r = new dns.Resolver();
  r.setServers([server]);
  r.resolve4('db.test', (e, a) => e ? console.log(e.code) : get(a[0]));
}
"""
JAVA = r"""
import java.io.*;
import java.net.*;
public class Ask {
  public static void main(String[] a) throws Exception {
    HttpURLConnection c = (HttpURLConnection) new URL("http://db.test:" + a[0] + "/" + a[1]).openConnection();
    System.out.print(new String(c.getInputStream().readAllBytes()));
  }
}
"""
# Resolves argv[1] once, and then connects to that address whenever it is told a line.
PATIENT = r"""
import errno, socket, sys
where = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), socket.AF_INET, socket.SOCK_STREAM)[0][4]
print("ready", flush=True)
for line in sys.stdin:
    try:
        with socket.create_connection(where, timeout=20) as s:
            s.sendall(f"GET /{sys.argv[3]} HTTP/1.0\r\n\r\n".encode())
            got = b"".join(iter(lambda: s.recv(1000), b""))
        print("good" if got.endswith(sys.argv[3].encode()) else "ended", flush=True)
    except OSError as e:
        print(errno.errorcode.get(e.errno, e), flush=True)
"""


def world(t, argv, dns="127.0.0.1", **hosts):
    """argv where /etc/hosts has these names (db -> db.test), and no other name server answers."""
    n = len(os.listdir(t.dir))
    files = []
    for target, text in (("hosts", "127.0.0.1 localhost\n" + "".join(f"{ip} {name}.test\n" for name, ip in hosts.items())),
                         ("resolv.conf", f"nameserver {dns}\n" + "options timeout:1 attempts:1\n" * (dns == "127.0.0.1"))):
        files.append(os.path.join(t.dir, f"{target}-{n}"))
        with open(files[-1], "w") as f:
            f.write(text)
    script = ('mount --bind "$1" /etc/hosts && { [ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf; }'
              ' && shift 2 && exec "$@"')
    inside = [which("unshare"), "-m", "--propagation", "private", "sh", "-c", script, "sh", *files]
    probe = subprocess.run([*inside, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Skip(f"no mount namespace of one's own: {probe.stderr.strip()}")
    return [*inside, *argv]


def serve(t, port, **hosts):
    """The server, and with it the daemon, which knows these names."""
    t.agent([entry(ID)])
    config = t.config(listen=[{"port": port, "allow": [ID]}])
    proc = t.spawn(world(t, t.wrap(config, [PYTHON, "-c", SERVER, str(port)]), **hosts), name="server")
    t.listening(port, proc=proc)
    return proc


def rule(port, *more, allow=ID, name="db.test"):
    return [{"name": "by name", "to": f"{name}:{port}", "allow": [allow]}, *more]


def ask(t, config, port, host="db.test", how="create_connection", **hosts):
    argv = [PYTHON, "-c", CLIENT, host, str(port), t.marker.decode(), how]
    return t.run(world(t, t.wrap(config, argv), **hosts)).decode().strip()


def log(t):
    try:
        with open(os.path.join(t.log_dir, "daemon.log"), errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def everybody(t, port):
    """Programs that ask for db.test, each by what its language offers."""
    marker = t.marker.decode()
    for how in ("create_connection", "gethostbyname", "gethostbyname_ex", "getaddrinfo_a"):
        yield how, [PYTHON, "-c", CLIENT, "db.test", str(port), marker, how]
    yield "curl", [which("curl"), "-sS", "--noproxy", "*", f"http://db.test:{port}/{marker}"]
    yield "a name in upper case", [which("curl"), "-sS", "--noproxy", "*", f"http://DB.Test:{port}/{marker}"]


def asked_by(t, port, argv):
    config = t.config(connect=rule(port))
    with t.watch(port):
        out = t.run(world(t, t.wrap(config, argv), db=HOME), timeout=40)
    assert out.decode().strip() == t.marker.decode(), (argv, out)


def test_programs_that_ask_for_the_name(t):
    """The daemon does not find the name at all: it goes by what the program resolved."""
    port = t.port()
    serve(t, port)
    for _, argv in everybody(t, port):
        asked_by(t, port, argv)
    if not NATIVE:
        t.audited("the rule by name", direction="outbound", result="allowed", remote=re.compile(HOME), rule="by name")
        assert "host name db.test of a connect rule" in log(t)


def test_node_asks_for_the_name(t):
    """getaddrinfo() on a thread of libuv's, connect() on the main one."""
    port = t.port()
    serve(t, port)
    asked_by(t, port, [which("node"), "-e", NODE, str(port), t.marker.decode()])


def test_java_asks_for_the_name(t):
    port, path = t.port(), os.path.join(t.dir, "Ask.java")
    with open(path, "w") as f:
        f.write(JAVA)
    serve(t, port)
    asked_by(t, port, [which("java"), "-XX:TieredStopAtLevel=1", path, str(port), t.marker.decode()])


def test_addresses_that_the_daemon_finds(t):
    """The program uses the address alone, as from a cache: the daemon has found it by the name."""
    port = t.port()
    serve(t, port, db=HOME)
    config = t.config(connect=rule(port))
    with t.watch(port):
        assert ask(t, config, port, host=HOME, how="by address") == t.marker.decode()
    if not NATIVE:
        t.audited("the rule by name", direction="outbound", result="allowed", rule="by name")


def answer_dns(sock):
    """One A record for whatever is asked."""
    while True:
        try:
            query, peer = sock.recvfrom(512)
        except OSError:
            return
        end = query.index(b"\0", 12) + 5
        a_record = query[end - 4:end - 2] == b"\0\1"
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, a_record, 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(HOME)
        sock.sendto(head + query[12:end] + (record if a_record else b""), peer)


def test_a_resolver_that_is_not_libcs(t):
    """c-ares asks over UDP, past getaddrinfo(): then by the daemon's addresses."""
    port = t.port()
    serve(t, port, db=HOME)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.1", 0))
        threading.Thread(target=answer_dns, args=(dns,), daemon=True).start()
        asked_by(t, port, [which("node"), "-e", NODE, str(port), t.marker.decode(),
                           f"127.0.0.1:{dns.getsockname()[1]}"])


def test_an_address_that_nobody_found_goes_by_rules_of_addresses(t):
    """And only by those: where none covers it the connection is none of ours."""
    port = t.port()
    serve(t, port)
    beside = t.config(connect=rule(port, {"name": "rest", "to": f"*:{port}", "allow": [ID]}))
    with t.watch(port):
        assert ask(t, beside, port, host=HOME, how="by address", db=HOME) == t.marker.decode()
    if NATIVE:
        return
    t.audited("the rule by address", direction="outbound", result="allowed", rule="rest")
    alone = t.config(connect=rule(port))
    assert ask(t, alone, port, host=HOME, how="by address", db=HOME) != t.marker.decode()  # plaintext to TLS
    assert not [a for a in t.audit() if a.get("rule") == "by name"]


def test_a_server_that_the_name_does_not_allow(t):
    """The rule of the name comes first, whatever the next one would say about the address."""
    if NATIVE:
        raise Skip("natively there is no policy")
    port = t.port()
    serve(t, port)
    config = t.config(connect=rule(port, {"name": "rest", "to": f"*:{port}", "allow": [ID]}, allow=f"{TD}/other"))
    with t.watch(port, expect=False):
        assert ask(t, config, port, db=HOME) == "EACCES"
        assert ask(t, config, port, host=HOME, how="by address", db=HOME) == t.marker.decode()
    t.audited("the refusal", direction="outbound", result="denied", rule="by name")


def test_an_alias_is_not_the_name(t):
    """What counts is what the program asked for; another name of the same host is another name."""
    port = t.port()
    serve(t, port)
    if NATIVE:
        raise Skip("natively there is no policy")
    config = t.config(connect=rule(port, {"name": "rest", "to": f"*:{port}", "allow": [ID]}))
    with t.watch(port):
        assert ask(t, config, port, host="alias.test", db=HOME, alias=HOME) == t.marker.decode()
    t.audited("the alias", direction="outbound", result="allowed", rule="rest")


def test_ipv6(t):
    port = t.port()
    t.agent([entry(ID)])
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=rule(port))
    server = SERVER.replace("AF_INET", "AF_INET6").replace("0.0.0.0", "::")
    proc = t.spawn(world(t, t.wrap(config, [PYTHON, "-c", server, str(port)])), name="server")
    t.listening(port, proc=proc)
    with t.watch(port):
        assert ask(t, config, port, db="::1") == t.marker.decode()


def unresolved(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        return int(re.search(r"^svidwrap_policy_hosts_unresolved{.*} (\d+)$", page.read().decode(), re.M)[1])


def test_a_name_that_resolves_later(t):
    """The daemon asks again and again; then the address is covered in programs that run already."""
    if NATIVE:
        raise Skip("natively there is no daemon")
    port, at = t.port(), t.port()
    t.agent([entry(ID)])
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=rule(port),
                      metrics={"listen": f"127.0.0.1:{at}"})
    argv = world(t, t.wrap(config, [PYTHON, "-c", SERVER, str(port)]))
    hosts = argv[argv.index("sh", argv.index("-c")) + 1]
    t.listening(port, proc=t.spawn(argv, name="server"))
    until("the complaint", lambda: "host name db.test of a connect rule: " in log(t))
    assert "db.test: does not resolve" in t.run([SVIDWRAP, "status"]).decode()
    assert unresolved(at) == 1
    with open(hosts, "a") as f:  # in place: it is mounted
        f.write(f"{HOME} db.test\n")
    until("the answer", lambda: "db.test of a connect rule resolves again" in log(t), timeout=40)
    assert f"db.test: {HOME}\n" in t.run([SVIDWRAP, "status"]).decode()
    assert json.loads(t.run([SVIDWRAP, "status", "--json"]))["configs"][0]["hosts"] == {"db.test": [HOME]}
    assert unresolved(at) == 0
    with t.watch(port):
        assert ask(t, config, port, host=HOME, how="by address") == t.marker.decode()


def test_the_name_is_told_to_the_server(t):
    """SNI: the name that the program resolved, or the rule's; never an address."""
    if NATIVE:
        raise Skip("natively there is no TLS")
    port = t.port()
    minted = t.agent([entry(ID)]).mint(f"{TD}/openssl")
    server = t.spawn([which("openssl"), "s_server", "-accept", f"{HOME}:{port}", "-tls1_3", "-www", "-tlsextdebug",
                      "-cert", f"{minted}/svid.pem", "-key", f"{minted}/key.pem", "-CAfile", f"{minted}/bundle.pem",
                      "-Verify", "3"], name="openssl")
    t.listening(port, proc=server)
    said = {"allow": [f"{TD}/openssl"]}
    by_address = t.config(connect=[{"to": f"*:{port}", **said}])
    by_name = t.config(connect=[{"to": f"db.test:{port}", **said}])
    by_rule = t.config(connect=[{"to": f"*:{port}", "sni": "front.example", **said}])
    for config, host, how, want in ((by_name, "db.test", "create_connection", "db.test"),
                                    (by_address, "DB.test", "gethostbyname", "db.test"),
                                    (by_address, HOME, "by address", None),
                                    (by_rule, "db.test", "create_connection", "front.example")):
        before = len(server.out())
        ask(t, config, port, host=host, how=how, db=HOME)
        until("a handshake", lambda: "supported versions" in server.out()[before:].decode())
        text = server.out()[before:].decode()
        dump = re.search(r'"server name".*\n((?:[0-9a-f]{4} - .*\n)+)', text)
        hexadecimal = "".join(line[7:54].replace("-", " ") for line in dump[1].splitlines()) if dump else ""
        name = bytes.fromhex(hexadecimal)[5:].decode() or None  # behind the lengths and the type
        assert name == want, (name, want, text)


def test_a_reload_brings_a_name_that_was_resolved_before(t):
    """What a program asked for is remembered from its start, whether a rule names it or not."""
    if NATIVE:
        raise Skip("natively there is no reload")
    port = t.port()
    serve(t, port)
    config = t.config(connect=[{"to": f"10.9.9.9:{port}", "allow": [ID]}])
    read, write = os.pipe()
    t.cleanups.append(lambda: os.close(write))
    argv = world(t, t.wrap(config, [PYTHON, "-c", PATIENT, "db.test", str(port), t.marker.decode()]), db=HOME)
    with os.fdopen(read) as stdin:
        proc = t.spawn(argv, name="patient", stdin=stdin)
    proc.line("^ready")
    os.write(write, b"\n")
    proc.line("^ready\n(ended|ECONNRESET)$")  # plaintext to a server that wants TLS
    with open(t.config(connect=rule(port))) as f:
        text = f.read()
    with open(config + ".new", "w") as f:
        f.write(text)
    os.rename(config + ".new", config)
    until("the reload", lambda: f"{config}: the new policy is in force" in log(t))
    with t.watch(port):
        os.write(write, b"\n")
        proc.line("^good$")
    t.audited("the rule by name", direction="outbound", result="allowed", rule="by name")


def test_nginx_resolves_in_the_master_and_connects_in_workers(t):
    """What the parent was told its children know, under another uid, too."""
    port, front = t.port(), t.port()
    t.agent([entry(ID), entry(ID, uid=65534)])
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=rule(port))
    proc = t.spawn(world(t, t.wrap(config, [PYTHON, "-c", SERVER, str(port)])), name="server")
    t.listening(port, proc=proc)
    work = os.path.join(t.dir, "nginx")
    os.mkdir(work)
    os.chmod(work, 0o777)
    with open(os.path.join(t.dir, "nginx.conf"), "w") as f:
        f.write(f"""user nobody nogroup; worker_processes 2; daemon off; pid {work}/pid; error_log stderr info;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://db.test:{port}; }} }} }}
""")
    nginx = t.spawn(world(t, t.wrap(config, [which("nginx"), "-c", f.name, "-p", work]), db=HOME), name="nginx")
    t.listening(front, proc=nginx)
    with t.watch(port):
        for _ in range(4):
            out = t.run([which("curl"), "-sS", "--fail", f"http://127.0.0.1:{front}/{t.marker.decode()}"])
            assert out == t.marker, out


def test_plaintext_by_name_is_counted_under_its_rule(t):
    """Staged: the connect goes out as it is, and the daemon is told by which name it was found."""
    if NATIVE:
        raise Skip("natively there is no policy")
    port = t.port()
    t.agent([entry(ID)])
    plain = t.spawn([PYTHON, "-c", SERVER, str(port)], name="plain server")
    t.listening(port, proc=plain)
    config = t.config(connect=[{**rule(port)[0], "mode": "off"}])
    assert ask(t, config, port, db=HOME) == t.marker.decode()
    t.audited("the plaintext", direction="outbound", result="plaintext", rule="by name", remote=re.compile(HOME))


def test_an_enforced_name_is_where_the_daemon_finds_it(t):
    """A program says by which name it found an address: where the rules are root's that is looked up, not believed."""
    if NATIVE:
        raise Skip("natively there is no policy")
    if os.getuid() != 0:
        raise Skip("needs root to enforce a configuration")
    port = t.port()
    t.agent([entry(ID)])
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=rule(port), enforce_config=True)
    daemon = t.spawn(world(t, [SVIDWRAP, "daemon", "--foreground", "--config", config], db=HOME), name="service")
    until("the daemon", lambda: daemon.alive() and "serves uid" in log(t))
    server = t.spawn(world(t, t.wrap(config, [PYTHON, "-c", SERVER, str(port)])), name="server")
    t.listening(port, proc=server)
    with t.watch(port):
        assert ask(t, config, port, db=HOME) == t.marker.decode()
        assert ask(t, config, port, db="127.0.0.78") == "EACCES"
    assert "refused: the address that it got for db.test is not among those" in log(t)


def test_a_name_server_that_never_answers(t):
    """A program starts all the same, and is covered by the names that it asks for."""
    if NATIVE:
        raise Skip("natively there is no daemon")
    port = t.port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            silent.bind(("127.0.77.53", 53))
        except OSError as e:
            raise Skip(f"no name server of one's own: {e}") from None
        t.agent([entry(ID)])
        config = t.config(listen=[{"port": port, "allow": [ID]}], connect=rule(port))
        t.run(world(t, t.wrap(config, ["/bin/true"]), dns="127.0.77.53"))  # the daemon's world
        server = t.spawn(world(t, t.wrap(config, [PYTHON, "-c", SERVER, str(port)])), name="server")
        t.listening(port, proc=server)
        with t.watch(port):
            assert ask(t, config, port, db=HOME) == t.marker.decode()
        assert "does not resolve" in t.run([SVIDWRAP, "status"]).decode()
