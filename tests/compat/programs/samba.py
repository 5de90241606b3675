# SPDX-License-Identifier: Apache-2.0
# packages: samba smbclient samba-common-bin
from compat import digest, file_digest

TITLE = "Samba"
WHAT = "smbd on 445: list, put and get of 8 MB, a tree, several clients at once, SMB 2 and 3, signing, a wrong password, a share on another port"
import os  # noqa: E402

CONFIG = """
[global]
  server role = standalone server
  workgroup = COMPAT
  netbios name = compat
  disable netbios = yes
  smb ports = 445 1445
  bind interfaces only = yes
  interfaces = lo
  private dir = {dir}/private
  lock directory = {dir}/lock
  state directory = {dir}/state
  cache directory = {dir}/cache
  pid directory = {dir}/pid
  ncalrpc dir = {dir}/rpc
  usershare max shares = 0
  passdb backend = tdbsam:{dir}/private/passdb.tdb
  load printers = no
  printcap name = /dev/null
  disable spoolss = yes
  log file = {dir}/smbd.log
  server min protocol = SMB2
  map to guest = never
  rpc start on demand helpers = false
[files]
  path = {dir}/files
  read only = no
"""


def run(c):
    for d in ("private", "lock", "state", "cache", "pid", "rpc", "files"):
        os.chmod(c.directory(d), 0o755)
    config = c.write("smb.conf", CONFIG.format(dir=c.dir))
    c.prepare(["sh", "-c", f"printf 'secret\\nsecret\\n' | smbpasswd -c {config} -L -s -a root"])
    c.write("files/hello", f"{c.text}\n")
    big = c.write("big", os.urandom(64) * 125000 + c.marker)
    for i in range(12):
        c.write(f"few/d{i % 3}/file{i}", c.text * i * 99)
    server = c.server(["smbd", "--foreground", "--no-process-group", "-s", config], 445, 1445)

    def smb(commands, *words, user="root%secret", **more):
        return c.client(["smbclient", "-s", config, "//127.0.0.1/files", "-U", user, *words, "-c", commands], err=True, **more)

    c.replace(r"\w{3} \w{3} +\d+ [\d:]{8} +\d{4}", "TIME")
    c.replace(r" \([\d.inf]+ \w+/s\w*\)| \(average [\d.inf]+ \w+/s\w*\)", "")
    c.replace(r"\d+ blocks of size \d+\. \d+ blocks available", "blocks")
    c.client(["smbclient", "-s", config, "-L", "127.0.0.1", "-U", "root%secret", "-g"], err=True)
    for words in (["-m", "SMB2"], ["-m", "SMB3"], ["-p", "1445", "--option=client signing=required"]):
        smb(f"get hello {c.dir}/got; put {big} copy; get copy {c.dir}/copy; ls; del copy", *words)
        c.say(file_digest(f"{c.dir}/got"), file_digest(f"{c.dir}/copy") == file_digest(big))
    smb(f"prompt off; recurse on; lcd {c.dir}/few; mput *; ls; mkdir a; rename d0 a/d0; cd a; ls; deltree d0", show=False)
    c.say(sorted(os.listdir(f"{c.dir}/files")), sorted(os.listdir(f"{c.dir}/files/d1")))
    several = [c.start(["smbclient", "-s", config, "//127.0.0.1/files", "-U", "root%secret", "-c", f"put {big} many{i}; get many{i} -"]) for i in range(4)]
    c.say("at once:", {(p.wait(60), digest(p.out()) == digest(open(big, "rb").read())) for p in several})
    smb("ls", user="root%wrong")
    smb("get nosuch")
    c.stop(server)
