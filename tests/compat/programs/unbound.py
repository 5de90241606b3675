# SPDX-License-Identifier: Apache-2.0
# packages: unbound nsd knot-dnsutils
from compat import until

TITLE = "Unbound, NSD, kdig"
WHAT = ("NSD with several server processes and its user's rights, a zone transfer between two of them, Unbound in threads that asks it over "
        "TCP only, chroot, its control port, kdig over TCP and UDP")
NOTE = "Unbound's chroot holds the agent's socket"

UNBOUND = """
server:
  interface: 127.0.0.1
  port: 5300
  directory: "{dir}"
  chroot: "{dir}"
  username: unbound
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 2
  log-queries: yes
  num-threads: 3
  outgoing-range: 64
  so-reuseport: yes
  do-not-query-localhost: no
  tcp-upstream: yes
  module-config: "iterator"
  local-zone: "example.org." nodefault
  incoming-num-tcp: 50
remote-control:
  control-enable: yes
  control-interface: 127.0.0.1
  control-port: 8953
  control-use-cert: no
stub-zone:
  name: "example.org"
  stub-addr: 127.0.0.1@53
"""
NSD = """
server:
  ip-address: {address}
  port: 53
  server-count: 3
  username: nsd
  chroot: ""
  zonesdir: "{dir}"
  pidfile: ""
  database: ""
  zonelistfile: "{dir}/zones"
  xfrdfile: "{dir}/xfrd"
  xfrdir: "{dir}"
  logfile: "{dir}/log"
remote-control:
  control-enable: yes
  control-interface: {dir}/control
zone:
  name: example.org
  zonefile: "zone"
"""


def run(c):
    zone = ("$ORIGIN example.org.\n$TTL 60\n@ SOA ns hostmaster {} 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n" +
            "".join(f"host{i} A 10.0.{i // 250}.{i % 250}\nhost{i} TXT \"{c.text} {i}\"\n" for i in range(2000)) +
            "big TXT " + " ".join(f'"{i:03d} {"x" * 200}"' for i in range(60)) + "\n")

    def nsd(n, more, zone=None):
        d = c.directory(f"nsd{n}", "nsd")
        if zone:
            c.write(f"nsd{n}/zone", zone)
        return c.server(["nsd", "-d", "-c", c.write(f"nsd{n}.conf", NSD.format(dir=d, address=f"127.0.0.{n}") + more)], 53, name=f"nsd{n}")

    def kdig(*words, server="127.0.0.1", port=53, **more):
        return c.client(["kdig", f"@{server}", "-p", port, *words], **more)

    def control(*words, **more):
        return c.client(["unbound-control", "-c", unbound_conf, *words], **more)

    def asked(argv):
        p = c.start(argv)
        p.wait()
        return p.out()

    one = nsd(1, "  provide-xfr: 0.0.0.0/0 NOKEY\n  notify: 127.0.0.2 NOKEY\n", zone.format(1))
    until("it answers", lambda: b"10.0" in asked(["kdig", "@127.0.0.1", "+tcp", "+short", "host1.example.org"]), 20, 0.2)
    kdig("+tcp", "+short", "host7.example.org", "txt")
    kdig("+notcp", "+short", "host7.example.org", "txt")
    kdig("+short", "+bufsize=512", "big.example.org", "txt")
    kdig("+tcp", "+keepopen", "+short", *[f"host{i}.example.org" for i in range(40)])
    c.say("transferred:", kdig("example.org", "AXFR", show=False).count("TXT"))
    two = nsd(2, "  request-xfr: AXFR 127.0.0.1 NOKEY\n  allow-notify: 127.0.0.1 NOKEY\n")
    until("the second has the zone", lambda: b"10.0" in asked(["kdig", "@127.0.0.2", "+tcp", "+short", "host1999.example.org"]), 30, 0.2)
    kdig("+tcp", "+short", "host1999.example.org", "txt", server="127.0.0.2")
    c.write("nsd1/zone", zone.format(2) + "new TXT changed\n")
    c.client(["nsd-control", "-c", c.dir + "/nsd1.conf", "reload", "example.org"])
    until("the second has the change", lambda: b"changed" in asked(["kdig", "@127.0.0.2", "+tcp", "+short", "new.example.org", "txt"]), 30, 0.2)
    d = c.directory("unbound", "unbound")
    c.jail(d)
    unbound_conf = c.write("unbound/unbound.conf", UNBOUND.format(dir=d))
    resolver = c.server(["unbound", "-d", "-c", unbound_conf], 5300, 8953)
    for i in (5, 6, 5):
        kdig("+tcp", "+short", f"host{i}.example.org", "txt", port=5300)
    kdig("+short", "host9.example.org", port=5300)
    kdig("+tcp", "+short", "big.example.org", "txt", port=5300)
    several = [c.start(["kdig", "@127.0.0.1", "-p", 5300, "+tcp", "+short", f"host{i}.example.org"], name=f"kdig{i}") for i in range(100, 115)]
    c.say("several:", *[p.ok().decode().strip() for p in several])
    control("flush_zone", "example.org")
    control("local_data", "here.example.org A 1.2.3.4")
    kdig("+tcp", "+short", "here.example.org", port=5300)
    c.say("status:", "is running" in control("status", show=False))
    control("reload")
    kdig("+tcp", "+short", "host77.example.org", port=5300)
    control("stop")
    c.say("ended:", resolver.wait())
    for p in (two, one):
        c.stop(p)
