# SPDX-License-Identifier: Apache-2.0
"""A plain TCP program that knows nothing of TLS: what svidwrap wraps opposite an independent peer.

usage: talk.py serve PORT [MODE]     MODE as gopeer's: echo (default), greet, blob:SIZE
       talk.py dial PORT [OPTIONS]   prints one JSON object; options: --size N --text T --write N --until T
                                     --no-half-close --count N

Same script as gopeer's serve and dial: after the client's end of stream, echo adds "talk N SHA256".
"""
import argparse
import errno
import hashlib
import json
import os
import select
import socket
import sys
import threading


def pattern(n):
    """Byte i is (i * 7 + i / 251) mod 256, as in gopeer."""
    unit = bytes((i * 7 + i // 251) % 256 for i in range(min(n, 251 * 256)))
    return (unit * (n // max(1, len(unit)) + 1))[:n]


def serve(port, mode):
    listener = socket.create_server(("127.0.0.1", port))
    print("serving", flush=True)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve_one, args=(conn, mode), daemon=True).start()


def serve_one(conn, mode):
    with conn:
        try:
            if mode.startswith("blob:"):
                conn.sendall(pattern(int(mode[5:])))
                return
            if mode.startswith("greet"):
                conn.sendall(f"220 talk {mode[6:]}\r\n".encode())
            total, digest = 0, hashlib.sha256()
            while data := conn.recv(65536):
                conn.sendall(data)
                total += len(data)
                digest.update(data)
            conn.sendall(f"talk {total} {digest.hexdigest()}\n".encode())
            conn.shutdown(socket.SHUT_WR)
            print("served", total, flush=True)
        except OSError as e:
            print("error", errno.errorcode.get(e.errno, e), flush=True)


def dial(o):
    """One connection. Sends and receives in one thread by select(), as a program with a full pipe must."""
    payload = o.text.encode() if o.text else pattern(o.size)
    with socket.create_connection(("127.0.0.1", o.port), timeout=20) as conn:
        conn.setblocking(False)
        received, sent, half = bytearray(), 0, False
        while True:
            want_write = sent < len(payload)
            ready = select.select([conn], [conn] if want_write else [], [], 30)
            if not ready[0] and not ready[1]:
                raise TimeoutError("30 s without progress")
            if ready[1]:
                try:
                    sent += conn.send(payload[sent:sent + o.write])
                except BlockingIOError:
                    pass
            if sent == len(payload) and not half and not o.no_half_close:
                conn.shutdown(socket.SHUT_WR)
                half = True
            if ready[0]:
                try:
                    data = conn.recv(65536)
                except BlockingIOError:
                    continue
                received += data
                if not data or (o.until and o.until.encode() in received):
                    break
        return {"sent": sent, "sent_sha256": hashlib.sha256(payload).hexdigest(), "received": len(received),
                "received_sha256": hashlib.sha256(received).hexdigest(),
                "echo_sha256": hashlib.sha256(received[:len(payload)]).hexdigest(),
                "tail": received[-200:].decode(errors="replace")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "dial"])
    parser.add_argument("port", type=int)
    parser.add_argument("mode", nargs="?", default="echo")
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--text", default="")
    parser.add_argument("--write", type=int, default=1 << 20)
    parser.add_argument("--until", default="")
    parser.add_argument("--no-half-close", action="store_true")
    parser.add_argument("--count", type=int, default=1)
    o = parser.parse_args()
    if o.what == "serve":
        return serve(o.port, o.mode)
    for _ in range(o.count):
        try:
            print(json.dumps(dial(o)), flush=True)
        except OSError as e:
            print(json.dumps({"errno": errno.errorcode.get(e.errno, str(e))}), flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
