# SPDX-License-Identifier: Apache-2.0
"""Is the shim as small as it says: libc alone, nothing exported but hooks and svidwrap_*, no thread; and is io_uring,
which no hook can see, out of reach?"""
import os
import re
import subprocess

from apps import client, exchange, echo_server, MANY_CLIENT
from harness import NATIVE, PROGRAMS, PYTHON, ROOT, SHIM, SVIDWRAP, TD, Failure, Skip, need, which

ID = f"{TD}/app"


def exports():
    need(SHIM)
    out = subprocess.run([which("nm"), "-D", "--defined-only", SHIM], capture_output=True, text=True, check=True).stdout
    return sorted({line.split()[2].split("@")[0] for line in out.splitlines() if len(line.split()) == 3})


def test_exports_are_those_of_the_list(t):
    with open(os.path.join(ROOT, "tests", "exports.txt")) as f:
        listed = sorted(line.strip() for line in f if line.strip() and not line.startswith("#"))
    have = exports()
    assert have == listed, f"not in tests/exports.txt: {sorted(set(have) - set(listed))}; " \
        f"in it and not exported: {sorted(set(listed) - set(have))}"
    assert t is not None


def test_exports_are_functions_of_libc_or_ours(t):
    """A hook that libc does not have under this name would never be called, and a stray symbol may clash."""
    libc = subprocess.run([which("nm"), "-D", "--defined-only", "/lib/x86_64-linux-gnu/libc.so.6"], capture_output=True,
                          text=True, check=True).stdout if os.path.exists("/lib/x86_64-linux-gnu/libc.so.6") else ""
    if not libc:
        raise Skip("libc.so.6 is not where Debian has it")
    names = {line.split()[-1].split("@")[0] for line in libc.splitlines()}
    strange = [s for s in exports() if s not in names and not s.startswith(("svidwrap_", "io_uring_")) and s != "io_submit"]
    assert not strange, strange
    assert t is not None


def needed(path):
    out = subprocess.run([which("readelf"), "-d", path], capture_output=True, text=True, check=True).stdout
    return sorted(re.findall(r"\(NEEDED\).*\[(.*)\]", out)), out


def test_the_shim_needs_libc_only(t):
    need(SHIM)
    libraries, dynamic = needed(SHIM)
    assert libraries == ["libc.so.6"], libraries
    assert "BIND_NOW" in dynamic and "TEXTREL" not in dynamic, dynamic
    segments = subprocess.run([which("readelf"), "-lW", SHIM], capture_output=True, text=True, check=True).stdout
    assert "GNU_RELRO" in segments and " RWE " not in segments, segments
    assert t is not None


def test_the_start_of_a_program_pays_for_little(t):
    """Not for the whole of libcrypto (16,000 relocations), nor for asking the processor what it can do, which traps
    under a hypervisor: libcrypto.a's .init would."""
    need(SHIM)
    readelf = [which("readelf"), "-rW", SHIM]
    relative = subprocess.run(readelf, capture_output=True, text=True, check=True).stdout.count("_RELATIVE")
    assert relative < 1500, relative
    init = subprocess.run([which("objdump"), "-d", "-j", ".init", SHIM], capture_output=True, text=True, check=True).stdout
    assert "<OPENSSL_cpuid_setup>" not in init and "<__wrap_OPENSSL_cpuid_setup>" in init, init
    assert t is not None


def test_the_binary_needs_nothing_but_libc(t):
    need(SVIDWRAP)
    libraries, _ = needed(SVIDWRAP)
    assert set(libraries) <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}, libraries
    assert t is not None


def test_the_shim_has_no_thread_and_no_key(t):
    """Threads of the wrapped server are its own, and no private key is in its memory."""
    if NATIVE:
        raise Skip("about svidwrap itself")
    port, config = t.one_port(ID)
    code = "import socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\nwhile True:\n s,_=l.accept()\n" \
           " s.sendall(s.recv(1000))\n s.close()"
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", code, str(port)])
        t.listening(port, proc=proc)
        exchange(t, config, port, 3)
        assert len(os.listdir(f"/proc/{proc.pid}/task")) == 1
        with open(f"/proc/{proc.pid}/maps") as f:
            loaded = f.read()
    assert "libssl" not in loaded and "libcrypto" not in loaded, loaded


# ---- instances ---------------------------------------------------------------------------------------------------

def test_two_instances_do_not_meet(t):
    """SVIDWRAP_INSTANCE keeps daemons apart."""
    if NATIVE:
        raise Skip("about svidwrap itself")
    port, config = t.one_port(ID)
    with t.watch(port):
        echo_server(t, config, port, extra={"SVIDWRAP_INSTANCE": t.instance + ".b"})
        out = client(t, config, MANY_CLIENT, port, 1).ok()
        assert out.endswith(b"good 1 bad 0\n"), out
        pids = {d[0] for d in t.daemons()}
        if len([d for d in t.daemons() if d[1] not in pids]) != 2:
            raise Failure(f"one daemon each was expected: {t.daemons()}")


# ---- libraries that do not look where the hooks are -------------------------------------------------------------------

def deep(t, how):
    port, config = t.one_port(ID)
    echo_server(t, config, port)
    with t.watch(port, expect=how == "deepbind"):
        p = t.spawn(t.wrap(config, [os.path.join(PROGRAMS, "deep"), str(port), t.marker.decode(), how]))
        return p.wait(20), p.text()


def test_a_library_with_deepbind_is_protected(t):
    """And it is found by the caller's own RUNPATH, as without the hook."""
    code, text = deep(t, "deepbind")
    assert code == 0 and "echoed" in text, (code, text)
    assert NATIVE or "without RTLD_DEEPBIND" in text, text


def test_a_library_in_its_own_namespace_is_refused(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    code, text = deep(t, "namespace")
    assert code == 2 and "is refused" in text, (code, text)
