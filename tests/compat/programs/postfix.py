# SPDX-License-Identifier: Apache-2.0
# packages: postfix swaks python3
import os

from compat import until

TITLE = "Postfix"
WHAT = ("SMTP by smtplib, swaks, smtp-source: smtpd in a chroot and without rights, queue, local delivery, relaying to another Postfix with "
        "cached connections, a destination that is down and its queue, postscreen that passes connections on, reload")
TIMEOUT = 120
NOTE = ("its chroot holds the agent's socket, as it holds resolv.conf, and the daemon is root's for all users; postqueue, which is "
        "setgid and speaks to no network, is not wrapped")

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = no
multi_instance_name = postfix-{name}
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = {name}.example.org
mydestination = {name}.example.org
alias_maps =
alias_database =
local_recipient_maps =
luser_relay = nobody
home_mailbox =
mail_spool_directory = {dir}/mail
mailbox_command =
biff = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_tls_security_level = none
message_size_limit = 20000000
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
smtp_connection_cache_destinations = 127.0.0.1
transport_maps = {transport}
{more}
"""
MASTER = """
{smtpd}
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - y 1000? 1 tlsmgr
rewrite unix - - y - - trivial-rewrite
bounce unix - - y - 0 bounce
defer unix - - y - 0 bounce
trace unix - - y - 0 bounce
verify unix - - y - 1 verify
flush unix n - y 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - y - - smtp
relay unix - - y - - smtp
showq unix n - y - - showq
error unix - - y - - error
retry unix - - y - - error
discard unix - - y - - discard
local unix - n n - - local
anvil unix - - y - 1 anvil
scache unix - - y - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
SEND = r'''
import smtplib, sys
marker, port, to = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.org")
print(s.ehlo()[0], s.noop())
for i in range(3):
    print(s.sendmail("me@client.example.org", [to], f"Subject: {i}\r\n\r\n{marker} {i}\r\n"))
print(s.sendmail("me@client.example.org", [to], "Subject: big\r\n\r\n" + (marker + "\r\n") * 50000))
try:
    s.sendmail("me@client.example.org", ["somebody@elsewhere.example.net"] if port != 25 else ["not an address@@"], "x")
    print("taken")
except smtplib.SMTPRecipientsRefused as e:
    print([v[0] for v in e.recipients.values()])
print(s.docmd("nonsense")[0], s.quit()[0])
'''


def run(c):
    c.machine_daemon()

    def postfix(name, smtpd, transport="", more=""):
        d = c.directory(name)
        for sub in ("queue", "mail"):
            c.directory(f"{name}/{sub}")
        os.chmod(f"{d}/mail", 0o1777)
        os.mkdir(f"{d}/queue/etc")
        for file in ("hosts", "services", "resolv.conf", "localtime", "nsswitch.conf"):
            if os.path.exists(f"/etc/{file}"):
                with open(f"/etc/{file}", "rb") as f:
                    c.write(f"{name}/queue/etc/{file}", f.read())
        c.directory(f"{name}/data", "postfix")
        c.write(f"{name}/transport", transport)
        c.write(f"{name}/main.cf", MAIN.format(dir=d, name=name, transport=f"inline:{{{transport}}}" if transport else "", more=more))
        c.write(f"{name}/master.cf", MASTER.format(smtpd=smtpd))
        c.prepare(["/usr/sbin/postfix", "-c", d, "check"])
        c.jail(d + "/queue")
        p = c.start(["/usr/sbin/postfix", "-c", d, "start-fg"], name=name)
        return p, d

    def mails(d):
        path = f"{d}/mail/nobody"
        if not os.path.exists(path):
            return ""
        with open(path) as f:
            return f.read()

    def delivered(d, what, count):
        """All of them, and whole: they are in the queue until then."""
        until("all is delivered", lambda: mails(d).count(what) >= count, 60)
        until("the queue is empty", lambda: not c.prepare(["/usr/sbin/postqueue", "-c", d, "-j"]).strip(), 60, 0.3)

    one, first = postfix("one", "25 inet n - y - - smtpd", "two.example.org=smtp:[127.0.0.1]:2525")
    c.listening(25, 60, one)
    send = ["/usr/bin/python3", "-c", SEND, c.text]
    c.client([*send, 25, "somebody@one.example.org"])
    delivered(first, "Subject:", 4)
    c.say("delivered:", mails(first).count(c.text))
    c.client([*send, 25, "somebody@two.example.org"])  # who is down
    until("it is deferred", lambda: c.prepare(["/usr/sbin/postqueue", "-c", first, "-j"]).count(b'"deferred"') == 4, 60, 0.3)
    two, second = postfix("two", "2525 inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n2526 inet n - y - - smtpd",
                          more="postscreen_access_list = permit_mynetworks\npostscreen_cache_map =\npostscreen_upstream_proxy_protocol =")
    c.listening(2525, 60, two)
    c.prepare(["/usr/sbin/postqueue", "-c", first, "-f"])
    delivered(second, "Subject:", 4)
    c.say("delivered:", mails(second).count(c.text))
    c.client(["swaks", "--server", "127.0.0.1", "--port", 2526, "--to", "x@two.example.org", "--from", "me@example.net", "--body", c.text,
              "--helo", "client.example.org", "--silent", 2])
    c.client(["smtp-source", "-s", 5, "-m", 40, "-l", 5000, "-f", "me@example.net", "-t", "somebody@two.example.org", "127.0.0.1:25"])
    until("all is delivered", lambda: mails(second).count("\nFrom ") >= 43, 60)
    c.client(["/usr/sbin/sendmail", "-C", first, "-f", "me@example.net", "somebody@two.example.org"],
             input=f"Subject: by sendmail\n\n{c.text}\n")
    until("that too", lambda: "by sendmail" in mails(second), 60)
    c.client(["/usr/sbin/postfix", "-c", first, "reload"])
    c.client([*send, 25, "again@one.example.org"])
    delivered(first, "Subject:", 8)
    c.say("queue:", c.prepare(["/usr/sbin/postqueue", "-c", first, "-p"]).decode())
    for p, d in ((two, second), (one, first)):
        c.client(["/usr/sbin/postfix", "-c", d, "stop"])
        c.say("ended:", p.wait(30))
