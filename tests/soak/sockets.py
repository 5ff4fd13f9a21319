"""Bare sockets for those who misbehave: a WebSocket that sends bytes as they are and throws away what comes."""

import base64
import os
import select
import socket
import struct


def connect(address, source):
    """A connection that comes from an address of its own in 127.0.0.0/8."""
    return socket.create_connection(address, 10, source_address=(source, 0))


def frame(opcode, payload, first=True, fin=True):
    """A client's frame, masked with zeros, which leaves the payload as it is."""
    head = bytes([(0x80 if fin else 0) | (opcode if first else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += b"\xfe" + struct.pack(">H", len(payload))
    else:
        head += b"\xff" + struct.pack(">Q", len(payload))
    return head + bytes(4) + payload


def text(payload):
    return frame(1, payload.encode())


def binary(payload):
    return frame(2, payload)


class WebSocket:
    """Sends what it is given for as long as it is taken."""

    def __init__(self, address, source, path="/ws"):
        self.tcp = connect(address, source)
        key = base64.b64encode(os.urandom(16)).decode()
        self.tcp.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            some = self.tcp.recv(4096)
            if not some:
                raise OSError("no WebSocket")
            answer += some
        if b" 101 " not in answer.split(b"\r\n", 1)[0]:
            raise OSError(answer.split(b"\r\n", 1)[0].decode("latin-1"))
        self.tcp.setblocking(False)
        self.rest = b""

    def push(self, blob, wait_s=0.2, read=True):
        """Sends a blob as far as it is taken within a while; whatever comes is read and thrown away."""
        self.rest = self.rest or blob
        reads, writes, _ = select.select([self.tcp] if read else [], [self.tcp], [], wait_s)
        if reads and not self.tcp.recv(1 << 20):
            raise OSError("closed")
        if writes:
            self.rest = self.rest[self.tcp.send(self.rest):]

    def close(self):
        self.tcp.close()
