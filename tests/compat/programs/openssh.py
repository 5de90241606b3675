# SPDX-License-Identifier: Apache-2.0
# packages: openssh-server openssh-client rsync
TITLE = "OpenSSH"
WHAT = "sshd (privilege separation, re-execution): commands, a terminal, scp, sftp, forwarded ports, a shared connection, rsync over it"
ENCRYPTED = True
import os  # noqa: E402

from compat import digest, file_digest, sleep_until  # noqa: E402


def run(c):
    c.replace(r"^Warning: Permanently added.*", "")
    for name in ("host", "user"):
        c.prepare(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{c.dir}/{name}"])
    with open(f"{c.dir}/user.pub") as f:
        c.write("authorized", f.read(), 0o600)
    with open(f"{c.dir}/host.pub") as f:
        c.write("known", "[127.0.0.1]:2222 " + f.read())
    os.makedirs("/run/sshd", exist_ok=True)
    config = c.write("sshd_config", f"""
Port 2222
ListenAddress 127.0.0.1
HostKey {c.dir}/host
AuthorizedKeysFile {c.dir}/authorized
PidFile {c.dir}/sshd.pid
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
Subsystem sftp internal-sftp
LogLevel VERBOSE
PrintMotd no
PrintLastLog no
""")
    server = c.server(["/usr/sbin/sshd", "-D", "-e", "-f", config], 2222)
    options = ["-F", "/dev/null", "-i", f"{c.dir}/user", "-o", f"UserKnownHostsFile={c.dir}/known", "-o", "StrictHostKeyChecking=yes",
               "-o", "BatchMode=yes"]
    ssh = ["ssh", *options, "-p", "2222", "root@127.0.0.1"]
    blob = c.write("blob", os.urandom(1 << 20) * 4)

    c.client([*ssh, f"echo {c.text}; id -un; exit 7"], err=True)
    c.client([*ssh, "cat"], input="to and fro\n" * 100000, show=False)
    c.say(digest(c.client([*ssh, "cat"], input="to and fro\n" * 100000, show=False)))
    c.client(["ssh", "-tt", *ssh[1:], "tty >/dev/null && stty size >/dev/null && echo a terminal; exit"], input="")
    c.client(["scp", *options, "-P", "2222", "-q", blob, f"root@127.0.0.1:{c.dir}/copied"])
    c.client(["scp", *options, "-P", "2222", "-q", "-O", f"root@127.0.0.1:{blob}", f"{c.dir}/copied2"])
    c.say(file_digest(f"{c.dir}/copied") == file_digest(f"{c.dir}/copied2") == file_digest(blob))
    batch = c.write("batch", f"cd {c.dir}\nmkdir sftp\nput blob sftp/a\nget sftp/a back\nls -1 sftp\nrename sftp/a sftp/b\nrm sftp/b\nrmdir sftp\n")
    c.client(["sftp", *options, "-P", "2222", "-q", "-b", batch, "root@127.0.0.1"])
    c.say(file_digest(f"{c.dir}/back") == file_digest(blob))
    # rsync over it, and a connection that several share.
    remote = " ".join(["ssh", *options, "-p", "2222"])
    c.client(["rsync", "-a", "-e", remote, f"{c.dir}/blob", "root@127.0.0.1:" + c.directory("there") + "/"], err=True)
    c.say(file_digest(f"{c.dir}/there/blob") == file_digest(blob))
    master = c.start([*ssh[:-1], "-M", "-S", f"{c.dir}/mux", "-N", ssh[-1]])
    sleep_until(lambda: os.path.exists(f"{c.dir}/mux"), "the shared connection")
    several = [c.start(["ssh", "-S", f"{c.dir}/mux", "-p", "2222", "root@127.0.0.1", f"echo {i}; exit {i}"]) for i in range(5)]
    c.say([(p.wait(20), p.out().decode().strip()) for p in several])
    c.client(["ssh", "-S", f"{c.dir}/mux", "-O", "exit", "root@127.0.0.1"])
    c.say("shared:", master.wait(20))
    # Forwarded ports: the connection behind and the one in front are TCP of their own.
    web = c.server(["/usr/bin/python3", "-m", "http.server", "8080", "--bind", "127.0.0.1", "-d", c.directory("there")], 8080)
    tunnel = c.start([*ssh[:-1], "-N", "-L", "8081:127.0.0.1:8080", "-R", "127.0.0.1:8082:127.0.0.1:8080", "-D", "8083", ssh[-1]])
    for port in (8081, 8082, 8083):
        c.listening(port, 20, tunnel)
    for where in (["http://127.0.0.1:8081/blob"], ["http://127.0.0.1:8082/blob"], ["-x", "socks5h://127.0.0.1:8083", "http://127.0.0.1:8080/blob"]):
        c.client(["curl", "-sS", "-o", f"{c.dir}/got", *where], err=True)
        c.say(file_digest(f"{c.dir}/got") == file_digest(blob))
    c.stop(tunnel)
    web.kill()
    web.wait()
    c.client([*ssh, "-l", "nosuchuser", "true"], err=True)
    c.client(["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={c.dir}/known", "-i", "/nonexistent", "-p", "2222",
              "nobody@127.0.0.1", "true"], err=False)
    several = [c.start([*ssh, f"sleep 0.2; echo {i}"]) for i in range(6)]
    c.say([(p.wait(30), p.out().decode().strip()) for p in several])
    c.stop(server)
