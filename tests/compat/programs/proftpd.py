# SPDX-License-Identifier: Apache-2.0
# packages: libpcre2-posix3 libmemcached11 libmemcachedutil2 libhiredis0.14 libidn2-0 libacl1 libpam-runtime curl lftp xinetd
# unpacked: proftpd-core
from compat import file_digest

TITLE = "ProFTPD"
WHAT = "standalone and under inetd: a user of a password file, passive and active, a range of ports, sendfile, resume, parallel transfers, reload"
TIMEOUT = 150
import crypt  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402

CONFIG = """
ServerType {kind}
ServerName "compat"
ServerIdent on "ready"
DefaultAddress 127.0.0.1
Port {port}
User nobody
Group nogroup
AuthOrder mod_auth_file.c
AuthUserFile {dir}/passwd
RequireValidShell off
UseReverseDNS off
PassivePorts 21000 21199
MaxInstances 30
PidFile {dir}/pid{port}
ScoreboardFile {dir}/scoreboard{port}
DelayEngine off
WtmpLog off
UseSendfile on
TransferLog none
SystemLog {dir}/system.log
AllowOverwrite on
AllowRetrieveRestart on
AllowStoreRestart on
AccessGrantMsg "{message}"
"""


def run(c):
    c.replace(r"\b[A-Z][a-z]{2} +\d+ \d\d:\d\d\b", "DATE")
    c.replace(r"\b21[01]\d\d\b", "PORT")
    top = c.directory("ftp", "ftp")
    uid, gid = os.stat(top).st_uid, os.stat(top).st_gid
    c.write("passwd", f"user:{crypt.crypt('secret', crypt.mksalt(crypt.METHOD_SHA256))}:{uid}:{gid}::{top}:/bin/false\n", 0o640)
    c.directory("ftp/upload", "ftp")
    for i in range(12):
        c.write(f"few/d{i % 3}/file{i}", c.text * i * 999)
    c.write("ftp/hello", f"{c.text}\n")
    big = c.write("ftp/big", os.urandom(64) * 50000 + c.marker)

    def configure(message):
        return [c.write(f"{kind}.conf", CONFIG.format(dir=c.dir, kind=kind, port=port, message=message), 0o600) for kind, port in (("standalone", 21), ("inetd", 2121))]

    alone, asked = configure("welcome")
    proftpd = c.unpacked("proftpd-core", "usr/sbin/proftpd")
    server = c.server([proftpd, "-n", "-q", "-c", alone], 21)
    inetd = c.server(["xinetd", "-dontfork", "-pidfile", f"{c.dir}/xpid", "-f", c.write("xinetd.conf", f"""service ftp2
{{
  type = UNLISTED
  socket_type = stream
  protocol = tcp
  port = 2121
  wait = no
  user = root
  server = {proftpd}
  server_args = -c {asked}
}}
""")], 2121)

    def curl(*words):
        return c.client(["curl", "-sS", *words], err=True)

    for port in (21, 2121):
        url = f"ftp://user:secret@127.0.0.1:{port}"
        for how in ("--ftp-pasv", "-P-")[:1 + (port == 21)]:
            curl(how, f"{url}/hello", f"{url}/hello", f"{url}/")
            curl(how, f"{url}/big", "-o", f"{c.dir}/copy")
            c.say(file_digest(f"{c.dir}/copy") == file_digest(big))
            curl(how, "-T", big, f"{url}/upload/first")
            c.say(file_digest(f"{top}/upload/first") == file_digest(big))
            curl(how, "-r", "1000-1099", f"{url}/big", "-o", f"{c.dir}/part")
            c.say(os.path.getsize(f"{c.dir}/part"))
            curl(how, f"{url}/hello", "-Q", "TYPE I", "-Q", "SIZE hello", "-Q", "-DELE upload/first", "-w", "%{http_code} %{size_download}\n")
        with open(f"{top}/upload/half", "wb") as f:
            f.write(open(big, "rb").read(1000000))
        os.chown(f"{top}/upload/half", uid, gid)
        curl("-C", "-", "-T", big, f"{url}/upload/half")
        c.say(file_digest(f"{top}/upload/half") == file_digest(big))
        curl(f"{url}/nosuch")
        curl(f"ftp://user:wrong@127.0.0.1:{port}/hello")
        c.client(["lftp", "-c", f"open -u user,secret -p {port} 127.0.0.1; set net:max-retries 1; mkdir -p upload/a; mirror -R --parallel=4 {c.dir}/few upload/b; "
                  f"find upload; pget -n 3 big -o {c.dir}/copy2; cat hello; rm -r upload/b; cls -s"], err=True)
        c.say(file_digest(f"{c.dir}/copy2") == file_digest(big))
        os.unlink(f"{c.dir}/copy2")
    configure("welcome again")
    os.kill(server.pid, signal.SIGHUP)
    c.listening(21, 20, server)
    # Without what curl says of its own steps: when it says so depends on how the server's answers arrive.
    c.client(["sh", "-c", "curl -sSv -o /dev/null ftp://user:secret@127.0.0.1/hello 2>&1 | grep -v '^[*] ftp_perform'"])
    c.stop(inetd)
    c.stop(server)
