# SPDX-License-Identifier: Apache-2.0
"""Has somebody judged every function of the C library: is it hooked, or why need it not be? tests/surface.txt is that
judgement; a function that it does not name, and that the shim does not export, is a hole nobody has looked into."""
import ctypes
import fnmatch
import os
import subprocess

from harness import ROOT, Skip, which

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
VERDICTS = {"none", "kernel", "hooked", "inside", "private"}


def judgements():
    """[(name or pattern, verdict)], in order."""
    with open(os.path.join(ROOT, "tests", "surface.txt")) as f:
        lines = [line.split(None, 2) for line in f if line.strip() and not line.startswith("#")]
    return [(line[0], line[1]) for line in lines]


def hooks():
    with open(os.path.join(ROOT, "tests", "exports.txt")) as f:
        return {line.strip() for line in f if line.strip() and not line.startswith("#")}


def public():
    """What libc.so.6 exports to programs: functions with a public symbol version."""
    if not os.path.exists(LIBC):
        raise Skip(f"{LIBC} is not there")
    version = ctypes.CDLL(None).gnu_get_libc_version
    version.restype = ctypes.c_char_p
    if version() != b"2.36":
        raise Skip(f"tests/surface.txt is about glibc 2.36, this is {version().decode()}")
    out = subprocess.run([which("nm"), "-D", "--defined-only", LIBC], capture_output=True, text=True, check=True).stdout
    symbols = (line.split()[1:] for line in out.splitlines())
    return sorted({name.split("@")[0] for kind, name in symbols if kind in "TWi" and "GLIBC_PRIVATE" not in name})


def test_every_function_is_judged(t):
    judged, ours = judgements(), hooks()
    exact = {name for name, _ in judged if "*" not in name}
    patterns = [name for name, _ in judged if "*" in name]
    unknown = [name for name in public() if name not in ours and name not in exact
               and not any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    assert not unknown, f"neither hooked nor in tests/surface.txt: {unknown}"
    assert t is not None


def test_every_judgement_is_about_something(t):
    judged, ours, names = judgements(), hooks(), public()
    rest = [name for name in names if name not in ours]
    stale = [p for p, _ in judged if not any(fnmatch.fnmatchcase(name, p) for name in rest)]
    assert not stale, f"in tests/surface.txt and about no function that is not hooked: {stale}"
    strange = [v for _, v in judged if v not in VERDICTS]
    assert not strange, strange
    assert t is not None
