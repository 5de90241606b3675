# SPDX-License-Identifier: Apache-2.0
# packages: vsftpd lftp tnftp curl
TITLE = "vsftpd"
NOTE = "its empty directory (secure_chroot_dir) has to hold the configuration and the agent's socket"
WHAT = "passive and active data connections, parts, several at once, uploads, listings; clients curl, lftp and ftp"
import os  # noqa: E402

from compat import file_digest  # noqa: E402


def run(c):
    c.replace(r"\b[A-Z][a-z]{2} +\d+ \d\d:\d\d\b", "DATE")
    c.replace(r"\d\d:\d\d \([\d.]+ .iB/s\)|\|\|\|\d+\|", "N")
    top = c.directory("ftp")
    os.chmod(top, 0o755)
    c.directory("ftp/upload", "ftp")
    c.within(c.directory("nothing"))
    for i in range(12):
        c.write(f"few/d{i % 3}/file{i}", c.text * i * 999)
    c.write("ftp/hello", f"{c.text}\n")
    big = c.write("ftp/big", os.urandom(64) * 50000 + c.marker)
    config = c.write("vsftpd.conf", f"""
listen=YES
background=NO
anonymous_enable=YES
nopriv_user=nobody
anon_root={top}
no_anon_password=NO
write_enable=YES
anon_upload_enable=YES
anon_umask=022
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
allow_anon_ssl=NO
secure_chroot_dir={c.dir}/nothing
ftpd_banner=ready
port_enable=YES
pasv_min_port=21000
pasv_max_port=21099
vsftpd_log_file={c.dir}/vsftpd.log
dual_log_enable=YES
xferlog_file={c.dir}/xferlog
""", 0o600)
    server = c.server(["vsftpd", config], 21)
    url = "ftp://127.0.0.1"

    def curl(*words, **more):
        return c.client(["curl", "-sS", *words], err=True, **more)

    for how in ("--ftp-pasv", "-P-"):
        curl(how, f"{url}/hello")
        curl(how, f"{url}/")
        curl(how, f"{url}/big", "-o", f"{c.dir}/copy")
        c.say(file_digest(f"{c.dir}/copy") == file_digest(big))
        curl(how, "-T", big, f"{url}/upload/first")
        c.say(file_digest(f"{top}/upload/first") == file_digest(big))
        curl(how, "-r", "1000-1099", f"{url}/big", "-o", f"{c.dir}/part")
        c.say(os.path.getsize(f"{c.dir}/part"))
        curl(how, f"{url}/hello", "-Q", "SIZE hello", "-Q", "-DELE upload/first", "-w", "%{http_code} %{size_download}\n")
    curl(f"{url}/nosuch")
    curl(f"{url}/../secret")
    c.client(["lftp", "-c", f"open 127.0.0.1; set net:max-retries 1; mkdir upload/a; mirror -R --parallel=4 {c.dir}/few upload/b; find upload; "
              f"pget -n 3 big -o {c.dir}/copy2; put {big} -o upload/second; ls upload; cat hello; mv upload/second upload/third; "
              "rm upload/third; cls -s"], err=True)
    c.say(file_digest(f"{c.dir}/copy2") == file_digest(big))
    c.client(["tnftp", "-n", "-v", "127.0.0.1"], err=True, input=f"""user anonymous me@example.org
binary
cd upload
put {big} fourth
passive
put {big} fifth
get fifth {c.dir}/copy3
dir
delete fourth
delete fifth
quit
""")
    c.say(file_digest(f"{c.dir}/copy3") == file_digest(big))
    c.stop(server)
