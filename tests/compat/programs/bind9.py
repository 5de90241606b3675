# SPDX-License-Identifier: Apache-2.0
# packages: bind9 bind9-utils bind9-dnsutils
from compat import until

TITLE = "BIND 9"
WHAT = ("named with its user's rights, dig over TCP (pipelined, big answers) and over UDP, rndc, nsupdate, zone transfers AXFR and IXFR to a "
        "second named by NOTIFY, forwarding over TCP")

CONF = """
options {{
  directory "{dir}"; pid-file "{dir}/pid"; session-keyfile "{dir}/session.key"; managed-keys-directory "{dir}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion {recursion}; dnssec-validation no; allow-transfer {{ any; }}; notify explicit;
  request-ixfr yes; ixfr-from-differences yes; tcp-clients 100; empty-zones-enable no; allow-new-zones no;
}};
key "rndc-key" {{ algorithm hmac-sha256; secret "c2VjcmV0IGZvciBhIHRlc3Qgb25seSwgMzIgYnl0ZXM="; }};
controls {{ inet 127.0.0.1 port {control} allow {{ any; }} keys {{ "rndc-key"; }}; }};
"""
RNDC = 'key "rndc-key" {{ algorithm hmac-sha256; secret "{}"; }};\noptions {{ default-key "rndc-key"; }};\n'
PRIMARY = """
zone "example.org" {{ type primary; file "{dir}/zone"; allow-update {{ any; }}; also-notify {{ 127.0.0.1 port 1053; }}; notify-delay 0; }};
"""
SECONDARY = """
zone "example.org" {{ type secondary; file "{dir}/zone"; primaries {{ 127.0.0.1; }}; min-refresh-time 1; }};
"""
FORWARDER = """
zone "example.org" {{ type forward; forward only; forwarders {{ 127.0.0.1; }}; }};
server 127.0.0.1 {{ tcp-only yes; edns no; }};
"""


def port(n):
    return {1: 53, 2: 1053, 3: 2053}[n]


def run(c):
    rndc_conf = c.write("rndc.conf", RNDC.format("c2VjcmV0IGZvciBhIHRlc3Qgb25seSwgMzIgYnl0ZXM="))

    def named(n, more, zone=None, recursion="no"):
        d = c.directory(f"named{n}", "bind")
        if zone:
            c.write(f"named{n}/zone", zone, 0o666)
        conf = c.write(f"named{n}.conf", (CONF + more).format(dir=d, port=port(n), control=port(n) + 900, recursion=recursion))
        p = c.start(["named", "-c", conf, "-u", "bind", "-f", "-n", 2, "-4", "-L", d + "/log"], name=f"named{n}")
        until("it answers", lambda: c.start(["dig", "@127.0.0.1", "-p", port(n), "+tcp", "+tries=1", "+time=5", "version.bind", "ch", "txt"]).wait() == 0, 20, 0.2)
        return p

    def dig(*words, n=1, **more):
        return c.client(["dig", "@127.0.0.1", "-p", port(n), *words], **more)

    def rndc(*words, n=1, **more):
        return c.client(["rndc", "-c", rndc_conf, "-s", "127.0.0.1", "-p", port(n) + 900, *words], **more)

    zone = ("$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n" +
            "".join(f"host{i} A 10.0.{i // 250}.{i % 250}\nhost{i} TXT \"{c.text} {i}\"\n" for i in range(3000)) +
            "big TXT " + " ".join(f'"{i:03d} {"x" * 200}"' for i in range(250)) + "\n")
    c.replace(r";; (Query time|WHEN|SERVER|MSG SIZE|XFR size).*", r";; \1")
    c.replace(r"id:\s+\d+", "id")
    c.replace(r"; COOKIE: .*", "; COOKIE")
    one = named(1, PRIMARY, zone)
    dig("+tcp", "+short", "host7.example.org", "txt")
    dig("+notcp", "+short", "host7.example.org", "txt")
    dig("+nocookie", "host8.example.org")
    dig("+notcp", "+short", "big.example.org", "txt")
    dig("+tcp", "nosuch.example.org")
    dig("+tcp", "+keepopen", "+short", *[w for i in range(40) for w in (f"host{i}.example.org", "txt")])
    out = dig("axfr", "example.org", "+onesoa", show=False)
    c.say("transferred:", len([x for x in out.splitlines() if x and x[0] != ";"]))
    two = named(2, SECONDARY)
    until("the second has the zone", lambda: b"3600" in c.start(["dig", "@127.0.0.1", "-p", port(2), "+tcp", "+short", "example.org", "soa"]).ok(), 30, 0.2)
    dig("+tcp", "+short", "host2999.example.org", "txt", n=2)
    c.client(["nsupdate", "-v"], input="server 127.0.0.1\nzone example.org\nupdate add new.example.org 60 TXT \"changed\"\n"
             "update delete host1.example.org\nsend\nanswer\n")
    rndc("notify", "example.org")
    until("the second has the change", lambda: b"changed" in c.start(
        ["dig", "@127.0.0.1", "-p", port(2), "+tcp", "+short", "new.example.org", "txt"]).ok(), 30, 0.2)
    dig("+tcp", "host1.example.org", "+short", n=2)
    dig("+tcp", "ixfr=1", "example.org", "+noidn")
    three = named(3, FORWARDER, recursion="yes")
    for i in (5, 6, 5):
        dig("+tcp", "+short", f"host{i}.example.org", "txt", n=3)
    rndc("flush", n=3)
    dig("+notcp", "+short", "host9.example.org", n=3)
    c.say("zone:", "serial: 2" in rndc("zonestatus", "example.org", show=False))
    c.say("status:", "server is up and running" in rndc("status", show=False))
    rndc("reload", n=2)
    rndc("nonsense", err=True)
    rndc("sync", "-clean")
    for n, p in ((1, one), (2, two), (3, three)):
        rndc("stop", n=n)
        c.say("ended:", p.wait(20))
