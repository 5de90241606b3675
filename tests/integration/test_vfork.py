# SPDX-License-Identifier: Apache-2.0
"""Programs that start others by vfork() and make no sockets, as compilers' drivers and shells do: do they find their
parent's memory, wait for their children and hear why an exec failed, as natively?"""
import os

from apps import echo_server
from harness import NATIVE, PROGRAMS, TD

ID = f"{TD}/app"
DRIVER = os.path.join(PROGRAMS, "driver")


def test_a_driver_and_its_children(t):
    """Under a bare preload, and as the child of a wrapped shell."""
    _, config = t.one_port(ID)
    native = t.spawn([DRIVER]).ok()
    assert native.count(b"told 5, ended 3") == 2 and b"child 19: USR1 0 TERM 1, ended 20" in native, native
    assert t.wrapped(config, [DRIVER], "preload").ok() == native
    for how in ("run", "preload"):
        assert t.wrapped(config, ["/bin/sh", "-c", f"{DRIVER}; true"], how).ok() == native


def test_a_childs_own_connection(t):
    """Past the names that would have told of it: it is refused, for it would become its parent's. Its own child, and
    its parent later, connect."""
    port, config = t.one_port(ID)
    echo_server(t, config, port)
    with t.watch(port):
        p = t.wrapped(config, [DRIVER, str(port), t.marker.decode()], "preload")
        child = "Success" if NATIVE else "Cannot allocate memory"
        assert p.ok().decode() == f"ended 0, child: {child}, its child: Success, parent: Success\n", p.text()
        assert NATIVE or "a child of vfork() runs on its parent's memory" in p.text(), p.text()
