# SPDX-License-Identifier: Apache-2.0
# packages: slapd ldap-utils
import os
import signal

from compat import until

TITLE = "OpenLDAP"
WHAT = ("slapd with its user's rights, ldapadd, paged and long searches, modify, compare, passwd, many clients, a consumer by syncrepl that "
        "persists, a chain of writes, cn=monitor")

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {dir}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload back_monitor
sizelimit unlimited
threads 4
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw secret
directory {dir}
maxsize 100000000
index objectClass,entryUUID,entryCSN,uid eq
"""
PROVIDER = "overlay syncprov\nsyncprov-checkpoint 10 1\ndatabase monitor\n"
CONSUMER = """
syncrepl rid=1 provider=ldap://localhost:389 type=refreshAndPersist retry="1 +" searchbase="dc=example,dc=org"
  bindmethod=simple binddn="cn=admin,dc=example,dc=org" credentials=secret
updateref ldap://localhost:389
"""
ADMIN = ["-x", "-D", "cn=admin,dc=example,dc=org", "-w", "secret"]


def person(n, text):
    return (f"dn: uid=u{n},dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u{n}\ncn: {text} {n}\nsn: {n}\n"
            f"description: {text * 20}\n\n")


def run(c):
    def slapd(n, port, more):
        d = c.directory(f"db{n}", "openldap")
        conf = c.write(f"slapd{n}.conf", CONF.format(dir=d) + more)
        return c.server(["slapd", "-f", conf, "-h", f"ldap://localhost:{port}/ ldapi://{d.replace('/', '%2F')}%2Fs", "-u", "openldap", "-g",
                         "openldap", "-d", "none"], port, name=f"slapd{n}")

    def ldap(tool, *words, port=389, **more):
        return c.client([f"ldap{tool}", "-H", f"ldap://localhost:{port}", *words], **more)

    def search(*words, **more):
        return ldap("search", "-LLL", "-x", "-b", "dc=example,dc=org", *words, **more)

    one = slapd(1, 389, PROVIDER)
    top = "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n"
    ldap("add", *ADMIN, input=top + "".join(person(n, c.text) for n in range(500)), show=False)
    search("uid=u7")
    c.say("all:", search("(objectClass=inetOrgPerson)", "description", show=False).count("description:"))
    c.say("paged:", search("-E", "pr=50/noprompt", "(objectClass=*)", "dn", show=False).count("dn:"))
    ldap("modify", *ADMIN, input="dn: uid=u7,dc=example,dc=org\nchangetype: modify\nreplace: sn\nsn: changed\n-\nadd: title\ntitle: x\n")
    ldap("compare", *ADMIN, "uid=u7,dc=example,dc=org", "sn:changed")
    ldap("passwd", *ADMIN, "-s", "new", "uid=u7,dc=example,dc=org")
    ldap("whoami", "-x", "-D", "uid=u7,dc=example,dc=org", "-w", "new")
    ldap("whoami", "-x", "-D", "uid=u7,dc=example,dc=org", "-w", "old", err=True)
    c.client(["ldapwhoami", "-Q", "-Y", "EXTERNAL", "-H", f"ldapi://{c.dir.replace('/', '%2F')}%2Fdb1%2Fs"])
    two = slapd(2, 390, CONSUMER)

    def count():
        return c.start(["ldapsearch", "-LLL", "-x", "-H", "ldap://localhost:390", "-b", "dc=example,dc=org", "dn"]).ok().count(b"dn: ")

    until("the consumer has all", lambda: count() == 501, 30, 0.3)
    search("uid=u7", "sn", port=390)
    ldap("add", *ADMIN, input=person("late", c.text), port=390, err=True)
    ldap("add", *ADMIN, input=person("late", c.text))
    ldap("delete", *ADMIN, "uid=u8,dc=example,dc=org")
    ldap("modrdn", *ADMIN, "-r", "uid=u9,dc=example,dc=org", "uid=renamed")
    until("the consumer has the change", lambda: b"dn:" in c.start(
        ["ldapsearch", "-LLL", "-x", "-H", "ldap://localhost:390", "-b", "dc=example,dc=org", "uid=renamed", "dn"]).ok(), 30, 0.2)
    search("(|(uid=u8)(uid=u9)(uid=renamed)(uid=ulate))", "dn", port=390)
    several = [c.start(["ldapsearch", "-LLL", "-x", "-H", "ldap://localhost:389", "-b", "dc=example,dc=org", f"(uid=u{n}*)", "cn"],
                       name=f"search{n}") for n in range(12)]
    c.say("several:", *[p.ok().count(b"cn:") for p in several])
    out = ldap("search", "-LLL", *ADMIN, "-b", "cn=Monitor", "(cn=Current)", "monitorCounter", show=False)
    c.say("monitor:", "monitorCounter" in out)
    for p in (two, one):
        os.kill(p.pid, signal.SIGINT)
        c.say("ended:", p.wait())
