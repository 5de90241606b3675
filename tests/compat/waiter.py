# SPDX-License-Identifier: Apache-2.0
"""What a super-server starts for a "wait" service: it gets the listener on number 0, and serves three."""

WAITER = """
import socket
listener = socket.socket(fileno=0)
for _ in range(3):
    s, _ = listener.accept()
    with s:
        data = b""
        while piece := s.recv(1000):
            data += piece
        s.sendall(data[::-1])
"""
