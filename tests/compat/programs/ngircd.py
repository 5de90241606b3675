# SPDX-License-Identifier: Apache-2.0
# packages: ngircd python3
TITLE = "ngIRCd"
WHAT = "two linked servers, scripted clients in a channel: messages across the link, a flood of joins and parts, nick changes, kicks, quits, keep-alives"

CLIENT = r'''
import re, socket, sys
text = sys.argv[1]
class User:
    def __init__(self, port, nick):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.f, self.nick = self.s.makefile("rb"), nick
        self.send(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        self.until(r" 376 | 422 ")
    def send(self, *lines):
        self.s.sendall("".join(l + "\r\n" for l in lines).encode())
    def until(self, pattern):
        while line := self.f.readline().decode().rstrip():
            if line.startswith("PING"):
                self.send("PONG" + line[4:])
            if re.search(pattern, line):
                return line
        raise SystemExit(f"{self.nick}: the end before {pattern}")
    def see(self, pattern):
        print(self.nick, "sees:", re.sub(r"!\S+", "", self.until(pattern)), flush=True)
a, b, x = User(6667, "alice"), User(6668, "bob"), User(6667, "xena")
for u in (a, b):
    u.send("JOIN #room"); u.until(" 366 ")
a.until("bob.* JOIN")  # it comes by the link: xena's could be there first
x.send("JOIN #room"); x.until(" 366 ")
a.until("xena.* JOIN"); b.until("xena.* JOIN")
for i in range(300):
    a.send(f"PRIVMSG #room :{text} {i}")
for u in (b, x):
    for i in (0, 150, 299):
        u.see(f":{text} {i}$")
b.send("PRIVMSG alice :" + text * 5); a.see("PRIVMSG alice")
for i in range(20):
    x.send(f"JOIN #many{i}"); x.until(" 366 ")
for i in range(20):
    x.send(f"PART #many{i} :gone"); x.until("PART #many")
b.send("NICK robert"); a.see("NICK"); x.see("NICK")
a.send("TOPIC #room :" + text); x.see("TOPIC"); b.see("TOPIC")
a.send("KICK #room xena :out"); x.see("KICK")
a.send("NAMES #room"); a.see(" 353 ")
a.send("WHOIS robert"); a.see(" 312 ")
b.send("NOSUCHCOMMAND"); b.see(" 421 ")
b.send("PING :still"); b.see("PONG")
users = [User(6667 + i % 2, f"u{i}") for i in range(40)]
for u in users:
    u.send("JOIN #crowd"); u.until(" 366 ")
users[0].send("PRIVMSG #crowd :everybody")
print(sum("everybody" in u.until("everybody") for u in users[1:]), "heard it")
b.send("QUIT :bye"); a.see("QUIT")
x.s.close(); a.send("LUSERS"); a.until(" 266 ")
'''


def run(c):
    servers = []
    for i, port in ((1, 6667), (2, 6668)):
        config = c.write(f"ngircd{i}.conf", f"""
[Global]
  Name = irc{i}.example.org
  Info = server {i}
  Listen = 127.0.0.1
  Ports = {port}
  MotdPhrase = {c.text}
  ServerUID = irc
  ServerGID = irc
[Limits]
  ConnectRetry = 5
  MaxPenaltyTime = 0
  MaxConnectionsIP = 0
  MaxJoins = 100
  PingTimeout = 20
[Options]
  DNS = no
  Ident = no
  PAM = no
  SyslogFacility = local1
[Server]
  Name = irc{3 - i}.example.org
  Host = 127.0.0.1
  MyPassword = secret
  PeerPassword = secret
  Port = {6669 - i if i == 2 else ""}
""".replace("  Port = \n", ""), 0o644)
        servers.append(c.server(["ngircd", "-n", "-f", config], port))
    c.prepare(["/usr/bin/python3", "-c", "import time; time.sleep(4)"])  # the second has dialled the first by then
    c.client(["python3", c.write("client.py", CLIENT), c.text], err=True, timeout=60)
    for s in servers:
        s.kill()
        s.wait(20)
