# SPDX-License-Identifier: Apache-2.0
# packages: dovecot-imapd dovecot-pop3d curl python3
import os

from compat import until

TITLE = "Dovecot"
WHAT = ("IMAP and POP3: login processes without rights pass each connection on to a process of the user's, IDLE, APPEND of big messages, "
        "search, copy, a proxy in front, reload, imaplib, poplib and curl")

NOTE = ("login processes go into a chroot: what they accept they serve as they are; to connect from in there (proxy) they need the "
        "agent's socket in it")

CONF = """
base_dir = {dir}
state_dir = {dir}/state
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
log_path = /dev/stderr
mail_location = maildir:{mail}/%u
mail_privileged_group =
first_valid_uid = 1
default_vsz_limit = 0
passdb {{
  driver = static
  args = password=secret{more}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={mail}/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  service_count = {count}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
"""
IMAP = r'''
import imaplib, sys, threading
marker, port, user = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def connect():
    m = imaplib.IMAP4("127.0.0.1", port)
    m.login(user, "secret")
    return m
m = connect()
print(m.create("box")[0], m.select("inbox"))
for i in range(20):
    m.append("inbox", "", None, f"From: a@b\r\nSubject: {i}\r\n\r\n{marker} {i}\r\n".encode())
big = (marker + "\r\n") * 100000
print(m.append("inbox", "", None, ("Subject: big\r\n\r\n" + big).encode())[0])
print(m.select("inbox"))
print(m.search(None, "SUBJECT", "7"), m.search(None, "TEXT", marker)[1][0].split()[-1])
print(m.fetch("1:3", "(BODY[TEXT])"))
got = m.fetch("21", "(BODY[TEXT])")[1][0][1]
print(len(got), got == big.encode())
print(m.copy("1:5", "box"), m.store("1:2", "+FLAGS", r"\Deleted")[0], m.expunge())
print(m.status("box", "(MESSAGES)"))
# somebody waits for news, which another connection makes
w = connect()
w.select("inbox")
tag = w._new_tag()
w.send(tag + b" IDLE\r\n")
print(w.readline())
m.append("inbox", "", None, b"Subject: new\r\n\r\nnew\r\n")
print(w.readline())
w.send(b"DONE\r\n")
while True:
    line = w.readline()
    if line.startswith(tag):
        print(line.split()[1])
        break
w.logout()
m.logout()
def one(n):
    c = connect()
    c.select("inbox")
    assert len(c.fetch("1:*", "(BODY[])")[1]) > 20
    c.logout()
threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
[t.start() for t in threads]
[t.join() for t in threads]
try:
    imaplib.IMAP4("127.0.0.1", port).login(user, "wrong")
except imaplib.IMAP4.error as e:
    print(e)
'''
POP = r'''
import poplib, sys
p = poplib.POP3("127.0.0.1", 110)
p.user(sys.argv[2]); p.pass_("secret")
poplib._MAXLINE = 1000000
print(p.stat()[0], p.list()[0])
print([len(p.retr(i + 1)[1]) for i in range(p.stat()[0])])
p.dele(1)
print(p.quit())
'''


def run(c):
    c.replace(r"UIDVALIDITY \d+", "UIDVALIDITY N")
    c.replace(r"COPYUID \d+|[\d.]+ \+ [\d.]+( \+ [\d.]+)? secs", "")
    mail = c.directory("mail", "nobody")

    def dovecot(name, imap, pop3, more="", count=1):
        conf = c.write(f"{name}.conf", CONF.format(dir=c.directory(name), mail=mail, imap=imap, pop3=pop3, more=more, count=count))
        return c.server(["dovecot", "-F", "-c", conf], imap, pop3, name=name), conf

    one, conf = dovecot("one", 143, 110)
    imap, pop = ["/usr/bin/python3", "-c", IMAP, c.text], ["/usr/bin/python3", "-c", POP, c.text]
    c.client([*imap, 143, "ann"])
    c.client([*pop, "ann"])
    c.client(["curl", "-sS", "imap://127.0.0.1/INBOX;MAILINDEX=3", "-u", "ann:secret"])
    c.client(["curl", "-sS", "-X", "EXAMINE box", "imap://127.0.0.1/", "-u", "ann:secret"])
    c.client(["curl", "-sS", "pop3://127.0.0.1/2", "-u", "ann:secret"])
    two, _ = dovecot("two", 1143, 1110, " proxy=y host=127.0.0.1 port=143 nopassword=y", count=0)
    c.jail(c.dir + "/two/login")
    c.client([*imap, 1143, "bob"])
    c.client(["doveadm", "-c", conf, "reload"])
    until("the reload", lambda: "SIGHUP received" in one.text())
    c.client(["curl", "-sS", "imap://127.0.0.1/INBOX;MAILINDEX=2", "-u", "bob:secret"])
    c.say("mails:", sorted(os.listdir(mail)))
    c.stop(two)
    c.stop(one)
