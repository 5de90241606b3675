# SPDX-License-Identifier: Apache-2.0
"""Who is not allowed gets nothing, each refusal leaves an audit line that says why, and good clients never notice.

The bad peers are Python's ssl module and bare sockets, with certificates of an outside CA that the dev agent shares,
so that everything about them is right but one thing."""
import os
import re
import socket
import ssl
import threading
import time

from harness import NATIVE, PYTHON, TD, WAIT, Failure, Skip, compact, entry, until
from pki import CA, client_context, server_context

GOOD, SERVER, CLIENT = f"{TD}/good", f"{TD}/server", f"{TD}/client"
ECHO = r"""
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        print("a connection", flush=True)
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


class Guarded:
    """A wrapped echo server that allows GOOD, and an outside CA of its trust domain."""

    def __init__(self, t, **settings):
        if NATIVE:
            raise Skip("there is nobody to be denied natively")
        self.t = t
        self.ca = CA(t)
        t.agent([entry(SERVER)], ca={"cert": self.ca.cert, "key": self.ca.key})
        self.port = t.port()
        self.config = t.config(listen=[{"port": self.port, "allow": [GOOD]}], **settings)
        self.proc = t.wrapped(self.config, [PYTHON, "-c", ECHO, str(self.port)])
        t.listening(self.port, proc=self.proc)
        self.good_pair = self.ca.leaf("good", GOOD)

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def talk(self, context):
        """Handshakes and echoes the marker. Returns what came back; raises what ssl raises."""
        with self.tcp() as raw, context.wrap_socket(raw) as s:
            s.sendall(self.t.marker)
            got = b""
            while len(got) < len(self.t.marker) and (piece := s.recv(100)):
                got += piece
            return got

    def good(self):
        assert self.talk(client_context(self.good_pair)) == self.t.marker

    def refused(self, context, reason, client="", result="denied|failed"):
        """This client must not get a byte, and the audit must say why."""
        before = len(self.t.audit())
        got = b""
        try:
            got = self.talk(context)
        except (ssl.SSLError, ConnectionError, BrokenPipeError):
            pass
        if got:
            raise Failure(f"the server answered {got!r}")
        return self.line(before, reason, client, result)

    def line(self, before, reason, client="", result="denied|failed"):
        def look():
            return next((a for a in self.t.audit()[before:] if re.search(reason, a["reason"])), None)
        try:
            line = until(f"an audit line with /{reason}/", look)
        except Failure as f:
            raise Failure(f"{f}; there are {[compact(a) for a in self.t.audit()[before:]]}") from None
        assert re.fullmatch(result, line["result"]), line
        assert line["direction"] == "inbound" and line["client_spiffe_id"] == client, line
        assert line["local"] == f"127.0.0.1:{self.port}" and line["remote"].startswith("127.0.0.1:"), line
        assert line["rule"] and line["timestamp"] and line["event"] == "connection", line
        return line


class GoodClients(threading.Thread):
    """Talks to the server all the while; every exchange must work."""

    def __init__(self, guarded):
        super().__init__(daemon=True)
        self.guarded, self.over, self.count, self.error = guarded, False, 0, None

    def run(self):
        while not self.over:
            try:
                self.guarded.good()
                self.count += 1
            except Exception as e:  # noqa: BLE001
                self.error = e
                return
            time.sleep(0.01)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join(WAIT)
        if self.error is not None:
            raise Failure(f"a good client suffered after {self.count} exchanges: {self.error!r}")
        assert self.count > 0


def accepted(g):
    return g.proc.out().count(b"a connection")


def test_certificates_that_are_not_allowed(t):
    g = Guarded(t)
    ca, other = g.ca, CA(t, "other.test")
    cases = [  # certificate, the audit's reason, the ID in the audit line
        (ca.leaf("wrong", f"{TD}/wrong"), "not in allow", f"{TD}/wrong"),
        (ca.leaf("below", GOOD + "/below"), "not in allow", GOOD + "/below"),
        (other.leaf("other", "spiffe://other.test/good"), "trust domain other.test", "spiffe://other.test/good"),
        (other.leaf("liar", GOOD), "not signed by the roots of trust domain example.org", GOOD),
        (ca.leaf("cross", "spiffe://other.test/good"), "trust domain other.test", "spiffe://other.test/good"),
        (ca.leaf("two", GOOD, f"{TD}/wrong"), "two URI SANs", ""),
        (ca.leaf("none"), "no URI SAN", ""),
        (ca.leaf("web", "https://example.org/good"), "not a valid SPIFFE ID", ""),
        (ca.leaf("root", TD), "SPIFFE ID|path", re.compile(".*")),
        (ca.leaf("expired", GOOD, start="20200101000000Z", end="20200102000000Z"), "expired at 2020-01-02", GOOD),
        (ca.leaf("future", GOOD, start="20980101000000Z", end="20990101000000Z"), "not valid before 2098", GOOD),
        (ca.leaf("ca", GOOD, ca=True, key_usage="digitalSignature,keyCertSign"), "is a CA", GOOD),
        (ca.leaf("signs", GOOD, key_usage="digitalSignature,keyCertSign"), "keyCertSign", GOOD),
        (ca.leaf("nosig", GOOD, key_usage="keyAgreement"), "digitalSignature", GOOD),
        (ca.leaf("nokeyusage", GOOD, key_usage=""), "keyUsage", GOOD),
        (ca.leaf("serveronly", GOOD, eku="serverAuth"), "clientAuth", GOOD),
        (ca.self_signed("self", GOOD), "not signed by|trust domain", GOOD),
    ]
    with t.watch(g.port), GoodClients(g):
        for pair, reason, client in cases:
            before = len(t.audit())
            try:
                got = g.talk(client_context(pair))
            except (ssl.SSLError, ConnectionError):
                got = b""
            assert not got, (pair, got)
            line = next_line(t, before, reason)
            assert line["result"] == "denied", (pair, compact(line))
            # The ID is named where it could be read; nobody may mistake it for a proven one.
            same = client.fullmatch(line["client_spiffe_id"]) if hasattr(client, "fullmatch") else \
                line["client_spiffe_id"] in (client, "")
            assert same and line["direction"] == "inbound" and line["server_spiffe_id"] == SERVER, (pair, compact(line))
        g.good()


def next_line(t, before, reason):
    def look():
        return next((a for a in t.audit()[before:] if re.search(reason, a["reason"])), None)
    try:
        return until(f"an audit line with /{reason}/", look)
    except Failure as f:
        seen = [compact(a) for a in t.audit()[before:] if a["result"] != "allowed"]
        raise Failure(f"{f}; there are {seen}") from None


def test_the_program_never_sees_who_is_refused(t):
    g = Guarded(t)
    with t.watch(g.port):
        g.good()
        until("the good one at the program", lambda: accepted(g) == 1)
        for _ in range(5):
            g.refused(client_context(g.ca.leaf("wrong", f"{TD}/wrong")), "not in allow", f"{TD}/wrong", "denied")
        g.good()
        until("the second good one", lambda: accepted(g) == 2)
        time.sleep(0.3)
        assert accepted(g) == 2, g.proc.out()


def test_no_certificate(t):
    g = Guarded(t)
    with t.watch(g.port), GoodClients(g):
        g.refused(client_context(), "no certificate")


def test_tls_1_2(t):
    g = Guarded(t)
    with t.watch(g.port), GoodClients(g):
        g.refused(client_context(g.good_pair, ssl.TLSVersion.TLSv1_2), "no TLS 1.3")


def raw(g, payload, wait=True):
    """Sends bytes as they are; returns what comes back until the end."""
    got = b""
    with g.tcp() as s:
        try:
            s.sendall(payload)
            while wait and (piece := s.recv(4096)):
                got += piece
        except ConnectionError:
            pass
    return got


def test_plaintext_and_garbage(t):
    g = Guarded(t)
    with t.watch(g.port) as watch, GoodClients(g):
        for payload in (b"PING\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b"\xff" * 20000,
                        os.urandom(5000), b"\x16\x03\x01\xff\xff" + b"A" * 70000, b"\x16\x03\x01\x00\x05hello",
                        b"\x17\x03\x03\x00\x10" + b"B" * 16, b"\x15\x03\x03\x00\x02\x02\x00"):
            before = len(t.audit())
            got = raw(g, payload)
            assert len(got) <= 7, (payload[:20], got)  # a TLS alert at most
            line = next_line(t, before, r"(?i)tls|plaintext|alert|closed|lost")
            assert line["result"] in ("denied", "failed") and line["client_spiffe_id"] == "", compact(line)
        assert watch is not None
    until("only good ones", lambda: b"PING" not in g.proc.out())


def test_a_peer_that_stalls(t):
    """Silent, in the middle of its hello, and one byte a time: each is cut off, and none is in anybody's way."""
    g = Guarded(t, handshake_timeout="1s")
    hello = client_hello(g)
    with t.watch(g.port), GoodClients(g):
        before = len(t.audit())
        silent, half, slow = g.tcp(), g.tcp(), g.tcp()
        half.sendall(hello[:50])
        until_closed = time.monotonic() + WAIT
        cut = False
        for i in range(0, len(hello)):
            try:
                slow.sendall(hello[i:i + 1])
            except ConnectionError:
                cut = True
                break
            if time.monotonic() > until_closed:
                break
            time.sleep(0.05)
        assert cut, "the slow peer was never cut off"
        for s in (silent, half):
            s.settimeout(WAIT)
            try:
                while s.recv(100):
                    pass
            except ConnectionError:
                pass
            s.close()
        slow.close()
        for reason in ("sent nothing within", "did not finish the handshake within"):
            next_line(t, before, reason)
        until("three lines", lambda: len([a for a in t.audit()[before:] if "within" in a["reason"]]) == 3)


def client_hello(g):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(g.good_pair).wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def test_a_hundred_stalling_peers(t):
    """They hold timers, not threads: good clients are served meanwhile."""
    g = Guarded(t, handshake_timeout="20s")
    with t.watch(g.port):
        peers = [g.tcp() for _ in range(100)]
        hello = client_hello(g)
        for s in peers[:50]:
            s.sendall(hello[:100])
        for _ in range(10):
            g.good()
        for s in peers:
            s.close()
        g.good()


def test_a_client_that_goes_away_in_the_handshake(t):
    g = Guarded(t)
    hello = client_hello(g)
    with t.watch(g.port):
        for how in (0, 50, len(hello)):
            s = g.tcp()
            s.sendall(hello[:how])
            s.close()
            s = g.tcp()
            s.sendall(hello[:how])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        g.good()
        until("the program saw one", lambda: accepted(g) == 1)


# ---- outbound ---------------------------------------------------------------------------------------------------

DIAL = r"""
import errno, os, select, socket, sys
mode, port, marker = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
def name(e):
    return errno.errorcode.get(e, e)
s = socket.socket()
if mode == "nonblock":
    s.setblocking(False)
    print("connect", name(s.connect_ex(("127.0.0.1", port))))
    p = select.poll()
    p.register(s, select.POLLOUT | select.POLLIN)
    print("masks", p.poll(20000)[0][1])
    print("SO_ERROR", name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
    print("SO_ERROR again", name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
    try:
        s.send(marker)
        print("SENT")
    except OSError as e:
        print("send", name(e.errno))
    sys.exit()
e = s.connect_ex(("127.0.0.1", port))
print("connect", name(e))
if e == 0:
    try:
        s.sendall(marker)
        s.settimeout(20)
        print("read", s.recv(100))
        print("read", s.recv(100))
    except OSError as x:
        print("then", name(x.errno))
else:
    try:
        s.send(marker)
        print("SENT")
    except OSError as x:
        print("send", name(x.errno))
"""


class Bad:
    """A server of ours behind a port that the wrapped client's rule allows SERVER on."""

    def __init__(self, t, serve, rule=None, **settings):
        if NATIVE:
            raise Skip("nothing is denied natively")
        self.t, self.serve = t, serve
        self.ca = CA(t)
        t.agent([entry(CLIENT)], ca={"cert": self.ca.cert, "key": self.ca.key})
        self.listener = socket.create_server(("127.0.0.1", t.port()))
        self.port = self.listener.getsockname()[1]
        self.got = b""
        self.config = t.config(connect=[{"to": f"127.0.0.1:{self.port}", "allow": [SERVER], **(rule or {})}], **settings)
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        s.settimeout(WAIT)
        try:
            self.serve(self, s)
        except (OSError, ssl.SSLError):
            pass

    def dial(self, mode="block"):
        with self.t.watch(self.port):
            return self.t.run(self.t.wrap(self.config, [PYTHON, "-c", DIAL, mode, str(self.port), self.t.marker.decode()])
                              ).decode().splitlines()


def tls_as(make, **more):
    def serve(bad, s):
        if not hasattr(bad, "pair"):
            bad.pair = make(bad.ca)
        with server_context(bad.pair, **more).wrap_socket(s, server_side=True) as tls:
            tls.sendall(b"you should not read this")
            bad.got += tls.recv(1000)
    return serve


def outbound(t, reason, **fields):
    line = next_line(t, 0, reason)
    assert line["direction"] == "outbound" and line["result"] in ("denied", "failed", "refused_by_peer"), compact(line)
    for key, value in fields.items():
        assert line[key] == value, (key, compact(line))


def test_outbound_server_with_another_id(t):
    bad = Bad(t, tls_as(lambda ca: ca.leaf("imposter", f"{TD}/imposter")))
    assert bad.dial() == ["connect EACCES", "send EPIPE"]
    outbound(t, "not in allow", server_spiffe_id=f"{TD}/imposter", result="denied", client_spiffe_id=CLIENT)
    assert bad.got == b""


def test_outbound_non_blocking(t):
    bad = Bad(t, tls_as(lambda ca: ca.leaf("imposter", f"{TD}/imposter")))
    out = bad.dial("nonblock")
    assert out[0] == "connect EINPROGRESS" and out[2:4] == ["SO_ERROR EACCES", "SO_ERROR again 0"], out
    assert int(out[1].split()[1]) & 8 and out[4] == "send EPIPE", out  # POLLERR, as of a refused connect
    assert bad.got == b""


def test_outbound_errno_of_the_rule(t):
    bad = Bad(t, tls_as(lambda ca: ca.leaf("imposter", f"{TD}/imposter")), rule={"deny_errno": "EHOSTUNREACH"})
    assert bad.dial()[0] == "connect EHOSTUNREACH"


def test_outbound_server_that_cannot_be_verified(t):
    bad = Bad(t, tls_as(lambda ca: ca.self_signed("self", SERVER)))
    assert bad.dial()[0] == "connect EACCES"
    outbound(t, "not signed by the roots")
    assert bad.got == b""


def test_outbound_server_with_two_ids(t):
    bad = Bad(t, tls_as(lambda ca: ca.leaf("two", SERVER, f"{TD}/wrong")))
    assert bad.dial()[0] == "connect EACCES"
    outbound(t, "two URI SANs")


def test_outbound_plaintext_server(t):
    def serve(bad, s):
        s.sendall(b"220 welcome\r\n")
        bad.hello = s.recv(5)
        while s.recv(1000):
            pass
    bad = Bad(t, serve)
    assert bad.dial()[0] == "connect EPROTO"
    outbound(t, "plaintext or not TLS")
    assert bad.hello[:2] == b"\x16\x03"


def test_outbound_tls_1_2_server(t):
    bad = Bad(t, tls_as(lambda ca: ca.leaf("server", SERVER), version=ssl.TLSVersion.TLSv1_2))
    assert bad.dial()[0] == "connect EPROTO"
    outbound(t, "no TLS 1.3")


def test_outbound_server_that_stalls(t):
    bad = Bad(t, lambda _, s: time.sleep(WAIT), handshake_timeout="1s")
    assert bad.dial()[0] == "connect ETIMEDOUT"
    outbound(t, "within 1000 ms")


def test_outbound_server_that_hangs_up(t):
    bad = Bad(t, lambda _, s: (s.recv(100), s.close()))
    assert bad.dial()[0] == "connect ECONNRESET"
    outbound(t, "(?i)closed|lost")


def test_outbound_server_that_refuses_us(t):
    """In TLS 1.3 the server judges our certificate after our connect() is done: the first read says EACCES."""
    other = CA(t, "other.test")
    bad = Bad(t, tls_as(lambda ca: ca.leaf("server", SERVER), client_ca=other.cert))
    out = bad.dial()
    assert out in (["connect 0", "then EACCES"], ["connect EACCES", "send EPIPE"]), out
    outbound(t, "unknown_ca", result="refused_by_peer", server_spiffe_id=SERVER)


def test_outbound_good_server_for_comparison(t):
    """The same server with the right certificate: what the others are refused is served here."""
    bad = Bad(t, tls_as(lambda ca: ca.leaf("server", SERVER), client_ca=None))
    out = bad.dial()
    assert out[0] == "connect 0" and out[1] == "read b'you should not read this'", out
    t.audited("the allowed one", direction="outbound", result="allowed", server_spiffe_id=SERVER, client_spiffe_id=CLIENT)
