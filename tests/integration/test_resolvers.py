# SPDX-License-Identifier: Apache-2.0
"""Do rules by host name hold where the C library has others resolve: a caching daemon (nscd), a module of the name service
switch that asks a daemon of its own (as nss-resolve does), c-ares?"""
import os
import socket
import struct
import subprocess
import threading

from harness import NATIVE, PYTHON, Skip, until, which
from test_hosts import CLIENT, HOME, answer_dns, log, rule, serve, world

GETAI = 14  # of nscd's requests: version, type, length of the name
WAYS = ("create_connection", "gethostbyname", "getaddrinfo_a")

MODULE = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
static int ask(const char *name, struct in_addr *a) {
  struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = SOCKET};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int good = connect(fd, (struct sockaddr *)&un, sizeof un) == 0 && write(fd, name, strlen(name) + 1) > 0 &&
             read(fd, a, sizeof *a) == sizeof *a;
  close(fd);
  return good;
}
enum nss_status _nss_svtest_gethostbyname4_r(const char *name, struct gaih_addrtuple **out, char *buf, size_t size,
                                             int *err, int *herr, int32_t *ttl) {
  struct in_addr a;
  struct gaih_addrtuple *t = *out ? *out : (void *)buf;
  char *text = buf + (*out ? 0 : sizeof *t);
  (void)size, (void)ttl;
  if (!ask(name, &a)) {
    *err = ENOENT;
    *herr = HOST_NOT_FOUND;
    return NSS_STATUS_NOTFOUND;
  }
  strcpy(text, name);
  *t = (struct gaih_addrtuple){.name = text, .family = AF_INET, .addr = {a.s_addr}};
  *out = t;
  return NSS_STATUS_SUCCESS;
}
enum nss_status _nss_svtest_gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf, size_t size,
                                             int *err, int *herr) {
  struct { char *none, *list[2]; struct in_addr a; char name[64]; } *r = (void *)buf;
  if (family != AF_INET || size < sizeof *r || strlen(name) >= 64 || !ask(name, &r->a)) {
    *err = size < sizeof *r ? ERANGE : ENOENT;
    *herr = HOST_NOT_FOUND;
    return size < sizeof *r ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
  }
  r->none = NULL;
  r->list[0] = (char *)&r->a;
  r->list[1] = NULL;
  strcpy(r->name, name);
  *h = (struct hostent){.h_name = r->name, .h_aliases = &r->none, .h_addrtype = AF_INET, .h_length = 4, .h_addr_list = r->list};
  return NSS_STATUS_SUCCESS;
}
enum nss_status _nss_svtest_gethostbyname_r(const char *name, struct hostent *h, char *buf, size_t size, int *err,
                                            int *herr) {
  return _nss_svtest_gethostbyname2_r(name, AF_INET, h, buf, size, err, herr);
}
"""
CARES = r"""
import pycares, select, socket, sys
host, port, marker, server = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
found = []
channel = pycares.Channel(servers=[server.split(":")[0]], udp_port=int(server.split(":")[1]), timeout=5, tries=2)
channel.query(host, pycares.QUERY_TYPE_A, lambda got, error: found.append((got, error)))
while not found:
    reading, writing = channel.getsock()
    if not reading and not writing:
        break
    ready = select.select(reading, writing, [], 1)
    for fd in ready[0] or [pycares.ARES_SOCKET_BAD]:
        channel.process_fd(fd, pycares.ARES_SOCKET_BAD)
got, error = found[0]
assert error is None, error
s = socket.create_connection((got[0].host, port), timeout=20)
s.sendall(f"GET /{marker} HTTP/1.0\r\n\r\n".encode())
print(b"".join(iter(lambda: s.recv(1000), b"")).decode().rpartition("\r\n")[2])
"""


class Resolver:
    """Answers on a unix socket; counts who asked for the name."""

    def __init__(self, path, answer):
        self.asked = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.listen(20)
        self.answer = answer
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            conn, _ = self.socket.accept()
            with conn:
                conn.settimeout(5)
                try:
                    reply = self.answer(conn.recv(1000))
                    if reply:
                        conn.sendall(reply)
                        self.asked += 1
                except OSError:
                    pass


def nscd(request):
    """GETAI for db.test; nothing for all else: the C library then looks by itself."""
    _, kind, length = struct.unpack("<iii", request[:12])
    if kind != GETAI or request[12:12 + length].rstrip(b"\0") != b"db.test":
        return b""
    canonical = b"db.test\0"
    return struct.pack("<iiiiii", 2, 1, 1, 4, len(canonical), 0) + socket.inet_aton(HOME) + bytes([socket.AF_INET]) + \
        canonical


def inside(argv, script, *args):
    """argv in a mount namespace that the script prepares, with args as $1 and on."""
    shift = f"{script} && shift {len(args)} && exec \"$@\""
    out = [which("unshare"), "-m", "--propagation", "private", "sh", "-c", shift, "sh", *args]
    probe = subprocess.run([*out, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Skip(f"no mount namespace of one's own: {probe.stderr.strip()}")
    return [*out, *argv]


def ask(t, port, how, prepared, extra=None):
    config = t.config(connect=rule(port))
    client = t.wrap(config, [PYTHON, "-c", CLIENT, "db.test", str(port), t.marker.decode(), how])
    with t.watch(port):
        out = t.run(world(t, prepared(client)), timeout=40, extra=extra)
    assert out.decode().strip() == t.marker.decode(), (how, out)


def test_nscd(t):
    """Nobody else knows the name: neither /etc/hosts nor the daemon."""
    port = t.port()
    serve(t, port)
    directory = os.path.join(t.dir, "nscd")
    os.mkdir(directory)
    resolver = Resolver(os.path.join(directory, "socket"), nscd)
    script = 'mount -t tmpfs none /run && mkdir /run/nscd && mount --bind "$1" /run/nscd'
    for how in ("create_connection", "getaddrinfo_a"):
        before = resolver.asked
        ask(t, port, how, lambda argv: inside(argv, script, directory))
        assert resolver.asked > before, "nscd was not asked"
    if not NATIVE:
        t.audited("the rule by name", direction="outbound", result="allowed", rule="by name")
        assert "host name db.test of a connect rule" in log(t)


def test_a_module_of_the_name_service_switch(t):
    """It asks a daemon over a unix socket, in the program: its own calls are hooked, too."""
    port = t.port()
    serve(t, port)
    at = os.path.join(t.dir, "resolver.sock")
    resolver = Resolver(at, lambda name: socket.inet_aton(HOME) if name == b"db.test\0" else b"")
    module, switch = os.path.join(t.dir, "libnss_svtest.so.2"), os.path.join(t.dir, "nsswitch.conf")
    with open(module + ".c", "w") as f:
        f.write(MODULE)
    subprocess.run([which("gcc"), "-D_GNU_SOURCE", f'-DSOCKET="{at}"', "-shared", "-fPIC", "-o", module, module + ".c"],
                   check=True)
    with open(switch, "w") as f:
        f.write("passwd: files\ngroup: files\nhosts: files svtest\n")
    for how in WAYS:
        before = resolver.asked
        ask(t, port, how, lambda argv: inside(argv, 'mount --bind "$1" /etc/nsswitch.conf', switch),
            extra={"LD_LIBRARY_PATH": t.dir})
        assert resolver.asked > before, "the module was not asked"
    if not NATIVE:
        t.audited("the rule by name", direction="outbound", result="allowed", rule="by name")


def test_c_ares_in_the_program(t):
    """Past getaddrinfo() and over UDP: the rule holds by the address that the daemon found for the name."""
    if subprocess.run([PYTHON, "-c", "import pycares"], capture_output=True).returncode:
        raise Skip("python3-pycares is not installed")
    port = t.port()
    serve(t, port, db=HOME)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.1", 0))
        threading.Thread(target=answer_dns, args=(dns,), daemon=True).start()
        server = f"127.0.0.1:{dns.getsockname()[1]}"
        config = t.config(connect=rule(port))
        argv = t.wrap(config, [PYTHON, "-c", CARES, "db.test", str(port), t.marker.decode(), server])
        with t.watch(port):
            assert t.run(world(t, argv)).decode().strip() == t.marker.decode()
    if not NATIVE:
        until("the rule by name", lambda: any(a.get("rule") == "by name" for a in t.audit()))
