# SPDX-License-Identifier: Apache-2.0
"""Do programs stay wrapped whatever is done to their environment: scrubbed, replaced, with other preloaded libraries
before and behind ours, audited, in a chroot, as setuid helpers? And does what cannot be wrapped then not run?"""
import glob
import os
import shutil
import subprocess

from apps import echo_server
from harness import NATIVE, PROGRAMS, PYTHON, SHIM, TD, Skip, entry, need, which

ID = f"{TD}/app"
ENVIRONS = os.path.join(PROGRAMS, "environs")
WAYS = ["clearenv-execv", "unsetenv-execvp", "overwrite-execv", "execve-empty", "execve-null", "execle", "execl",
        "execvpe", "fexecve", "execveat", "syscall", "syscall-at", "vfork", "posix_spawn", "posix_spawnp", "system",
        "popen"]


def prepare(t):
    port, config = t.one_port(ID)
    echo_server(t, config, port)
    return port, config


def answered(t, p, preload=True):
    """The client got its marker back, through svidwrap."""
    out = p.ok().decode()
    assert out.startswith(t.marker.decode() + " "), p.text()
    if not NATIVE:
        assert ("libsvidwrap.so" in out) == preload, out
    return out


def test_a_scrubbed_environment(t):
    """In every way to start a program, under run and under a bare preload."""
    port, config = prepare(t)
    with t.watch(port):
        for how in ("run", "preload"):
            for way in WAYS:
                answered(t, t.wrapped(config, [ENVIRONS, way, str(port), t.marker.decode()], how))


def test_programs_that_scrub(t):
    """env -i, as systemd-run does, as a shell's children, by Python's own ways, by a change of user."""
    port, config = prepare(t)
    client = [ENVIRONS, "-", str(port), t.marker.decode()]
    python = "import os,subprocess,sys; a=sys.argv[1:]; {}"
    ways = [["/usr/bin/env", "-i", *client], ["/usr/bin/env", "-u", "LD_PRELOAD", *client],
            ["/bin/sh", "-c", 'unset LD_PRELOAD; "$@"', "sh", *client],
            # What systemd-run gives a unit: a session and an environment of its own, made anew.
            ["/usr/bin/setsid", "--wait", "/usr/bin/env", "-i", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "INVOCATION_ID=0123456789abcdef0123456789abcdef", "USER=root", "HOME=/root", *client],
            ["/bin/sh", "-c", 'LD_PRELOAD= exec "$@"', "sh", *client],
            [PYTHON, "-c", python.format("sys.exit(subprocess.run(a, env={}).returncode)"), *client],
            [PYTHON, "-c", python.format("sys.exit(subprocess.run(a, env={}, close_fds=False).returncode)"), *client],
            [PYTHON, "-c", python.format("os.execve(a[0], a, {})"), *client]]
    try:
        ways.append([which("setpriv"), "--reset-env", *client])
    except Skip:
        pass
    with t.watch(port):
        for way in ways:
            answered(t, t.wrapped(config, way))


def test_a_program_with_a_preload_of_its_own(t):
    """What it wants preloaded is, and ours too."""
    port, config = prepare(t)
    with t.watch(port):
        out = answered(t, t.wrapped(config, [ENVIRONS, "own-preload", str(port), t.marker.decode()]))
    assert "libm.so.6" in out, out


def library(name, package):
    for path in glob.glob(f"/usr/lib/*/{name}") + glob.glob(f"/usr/lib/*/faketime/{name}") + \
            glob.glob(f"/usr/lib/gcc/*/*/{name}"):
        return os.path.realpath(path)
    raise Skip(f"{package} is not installed")


def test_other_preloaded_libraries(t):
    """jemalloc, faketime and AddressSanitizer, before and behind ours, under run and bare; together where they stand each
    other natively (jemalloc and faketime do not)."""
    port, config = prepare(t)
    jemalloc, faketime = library("libjemalloc.so.2", "libjemalloc2"), library("libfaketime.so.1", "libfaketime")
    asan = library("libasan.so.8", "libasan8")
    if not NATIVE:
        need(SHIM)
    client = [ENVIRONS, "-", str(port), t.marker.decode()]
    real = [PYTHON, "-c", "import ssl, json, asyncio; print(asyncio.run(asyncio.sleep(0.01, 'slept')))"]
    lists = [[jemalloc], [faketime]]
    orders = [[*some[:i], SHIM, *some[i:]] for some in lists for i in range(len(some) + 1)]
    orders += [[asan, SHIM], [asan, jemalloc, SHIM], [asan, SHIM, jemalloc]]
    with t.watch(port):
        for order in orders if not NATIVE else lists:
            extra = {"SVIDWRAP_CONFIG": config, "LD_PRELOAD": ":".join(order), "FAKETIME": "-1s", "ASAN_OPTIONS":
                     "detect_leaks=0", "SPIFFE_ENDPOINT_SOCKET": t.default_agent.address}
            for argv in (client, real):
                p = t.spawn(argv, extra=extra)
                assert p.wait() == 0 and not p.err(), (order, p.text())
                if argv is client:
                    answered(t, p)
        if NATIVE:
            return
        for some in [*lists, [asan], [asan, jemalloc]]:
            extra = {"LD_PRELOAD": " ".join(some), "FAKETIME": "-1s", "ASAN_OPTIONS": "detect_leaks=0"}
            argv = t.wrap(config, client)
            p = t.spawn(["/usr/bin/env", *[f"{k}={v}" for k, v in extra.items()], *argv])
            out = answered(t, p)
            assert all(os.path.basename(x) in out for x in some), out


def test_a_program_with_a_sanitizer_of_its_own(t):
    """Its library insists on being the first that is loaded; run tells it not to."""
    cc = which("gcc")
    library("libasan.so.8", "libasan8")
    port, config = prepare(t)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs", "environs.c")
    program = os.path.join(t.dir, "sanitized")
    subprocess.run([cc, "-D_GNU_SOURCE", "-fsanitize=address", "-o", program, source], check=True)
    with t.watch(port):
        p = t.wrapped(config, [program, "-", str(port), t.marker.decode()])
        answered(t, p)
        assert not p.err(), p.text()


AUDIT = "unsigned la_version(unsigned v) { return v; }\n" \
        "unsigned la_objopen(void *m, long l, unsigned long *c) { (void)m, (void)l, (void)c; return 3; }\n"


def test_an_audited_program(t):
    """LD_AUDIT: calls are bound through the auditor, and still reach ours."""
    port, config = prepare(t)
    auditor = os.path.join(t.dir, "libaudit.so")
    with open(auditor + ".c", "w") as f:
        f.write(AUDIT)
    subprocess.run([which("gcc"), "-shared", "-fPIC", "-o", auditor, auditor + ".c"], check=True)
    with t.watch(port):
        for how in ("run", "preload"):
            p = t.wrapped(config, [ENVIRONS, "-", str(port), t.marker.decode()], how, extra={"LD_AUDIT": auditor})
            answered(t, p)


def chroot_for(t, with_library):
    """A root with the program, its loader and libraries; ours where it is asked for."""
    if os.getuid() != 0:
        raise Skip("needs root: chroot")
    root = os.path.join(t.dir, "root" + str(with_library))
    listed = subprocess.run(["ldd", ENVIRONS], capture_output=True, text=True, check=True).stdout.split()
    files = [w for w in listed if w.startswith("/")]
    if with_library:
        files.append(SHIM)
    for file in files:
        os.makedirs(root + os.path.dirname(file), exist_ok=True)
        shutil.copy(file, root + file)
    shutil.copy(ENVIRONS, root + "/program")
    os.mkdir(root + "/proc")
    return root


def test_a_chroot_without_our_library(t):
    """The loader would only warn: what is executed there does not run."""
    port, config = prepare(t)
    root = chroot_for(t, False)
    with t.watch(port, expect=NATIVE):
        for way in ("clearenv-execv", "execve-empty", "fexecve", "posix_spawn", "vfork", "syscall"):
            p = t.wrapped(config, [ENVIRONS, way, str(port), t.marker.decode(), root])
            if NATIVE:
                answered(t, p)
            else:
                assert p.wait() == 9 and t.marker not in p.out(), (way, p.text())
                assert b"ELIBACC" in p.out() or way == "vfork", p.text()
                assert "could not be protected: refused" in p.text(), p.text()


def test_a_chroot_with_our_library(t):
    """The daemon is reached by its abstract name, there too."""
    port, config = prepare(t)
    root = chroot_for(t, True)
    if not NATIVE:
        for file in (config,):
            os.makedirs(root + os.path.dirname(file), exist_ok=True)
            shutil.copy(file, root + file)
        agent = t.default_agent.socket
        os.makedirs(root + os.path.dirname(agent), exist_ok=True)
        os.link(agent, root + agent)
    with t.watch(port):
        answered(t, t.wrapped(config, [ENVIRONS, "execve-empty", str(port), t.marker.decode(), root]))


CONFINED = """
import errno, os, socket, sys
s = socket.socket()
port = int(sys.argv[2])
os.chroot(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(errno.errorcode[s.connect_ex(("127.0.0.1", port))])
"""


def test_a_program_in_a_chroot_is_told_that_it_cannot_start_a_daemon(t):
    """It has become a user who has none, and there is no program of ours in there to start one with."""
    if os.getuid() != 0:
        raise Skip("needs root: chroot")
    port, config = t.one_port(ID)
    root = os.path.join(t.dir, "root")
    os.mkdir(root)
    p = t.wrapped(config, ["/usr/bin/env", PYTHON, "-c", CONFINED, root, str(port)])  # an image that has not asked for a daemon yet
    assert p.ok() == b"ECONNREFUSED\n", p.text()
    assert NATIVE or "root's daemon running: svidwrap daemon --all-users" in p.text(), p.text()


def test_a_library_that_another_user_cannot_read(t):
    """A program that becomes somebody else, who has no right to read ours."""
    if os.getuid() != 0 or NATIVE:
        raise Skip("about svidwrap itself, as root")
    port, config = prepare(t)
    private = os.path.join(t.dir, "private")
    os.mkdir(private, 0o700)
    shim = shutil.copy(SHIM, private)
    extra = {"SVIDWRAP_CONFIG": config, "LD_PRELOAD": shim, "SPIFFE_ENDPOINT_SOCKET": t.default_agent.address}
    code = "import os,sys\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n" \
           "try: os.execv(sys.argv[1], sys.argv[1:])\nexcept OSError as e: sys.exit(str(e.errno))"
    program = shutil.copy(ENVIRONS, os.path.join(t.dir, "environs"))
    with t.watch(port, expect=False):
        p = t.spawn([PYTHON, "-c", code, program, "-", str(port), t.marker.decode()], extra=extra)
        assert p.wait() == 1 and "could not be protected: refused" in p.text(), p.text()


HELPER = r"""
import os, socket, sys
port, marker, helper = int(sys.argv[1]), sys.argv[2], sys.argv[3]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"before")
assert s.recv(6, socket.MSG_WAITALL) == b"before"
os.set_inheritable(s.fileno(), True)
if len(sys.argv) > 4:
    os.dup2(s.fileno(), 1)
    s.close()
    os.execv(helper, [helper, "1", marker])
os.execv(helper, [helper, str(s.fileno()), marker])
"""
WRITER = "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n" \
         "int main(int c, char **v) { (void)c; return write(atoi(v[1]), v[2], strlen(v[2])) < 0 ? 7 : 0; }\n"


def test_a_setuid_helper_does_not_get_at_a_connection(t):
    """The loader drops the preload there: what it inherits is closed, or relayed (its standard streams)."""
    if os.getuid() != 0:
        raise Skip("needs root: a setuid program")
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent([entry(ID, uid=0), entry(ID, uid=65534)])
    port = t.port()
    config = t.both(port, allow=[ID])
    echo_server(t, config, port)
    for directory in (t.dir, os.path.dirname(t.default_agent.socket)):
        os.chmod(directory, 0o777)
    os.chmod(t.default_agent.socket, 0o777)
    for file in os.listdir(t.log_dir):
        os.chmod(os.path.join(t.log_dir, file), 0o666)
    helper = os.path.join(t.dir, "helper")
    with open(helper + ".c", "w") as f:
        f.write(WRITER)
    subprocess.run([which("gcc"), "-o", helper, helper + ".c"], check=True)
    os.chmod(helper, 0o4755)
    with t.watch(port):
        for how in ("preload", "run"):
            p = t.spawn(t.wrap(config, [PYTHON, "-c", HELPER, str(port), t.marker.decode(), helper], how), user=65534)
            assert p.wait() in (0, 7), (how, p.text())  # through the relay, or EBADF
            p = t.spawn(t.wrap(config, [PYTHON, "-c", HELPER, str(port), t.marker.decode(), helper, "0"], how), user=65534)
            assert p.wait() == 0, (how, p.text())  # through the relay
