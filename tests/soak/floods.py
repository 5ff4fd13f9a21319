"""Those who misbehave: each from an address of its own, at it for a while, then quiet for a while, for as long as the soak lasts."""

import http.client
import json
import os
import random
import re
import threading
import time
import urllib.parse

import hostile
from sockets import WebSocket, binary, connect, frame, text


def commands(*objects):
    return text(json.dumps(objects))


def pings(_):
    return frame(9, b"x") * 500


def one_byte_fragments(_):
    body = b'{"type":"ping","id":1}'
    parts = [frame(1, body[:1], fin=False)]
    parts += [frame(1, bytes([byte]), first=False, fin=False) for byte in body[1:-1]]
    return b"".join([*parts, frame(1, body[-1:], first=False)]) * 20


def thousand_topics(chance):
    topics = [f"flood:{chance.randrange(1000)}" for _ in range(200)]
    return commands(*({"type": "publish", "id": 1, "topic": topic, "data": "x" * 200} for topic in topics))


def histories(_):
    asked = {"type": "history", "topic": "flood:1", "limit": 1000}
    return commands(*({**asked, "id": number} for number in range(100)))


def coming_and_going(_):
    one = {"topic": "flood:presence", "presence": True}
    return commands(*({"type": kind, "id": 1, **one} for _ in range(100) for kind in ("subscribe", "unsubscribe")))


def presences(_):
    return commands(*({"type": "presence", "id": number, "topic": "flood:presence"} for number in range(100)))


def false_tokens(chance):
    token = f"eyJhbGciOiJIUzI1NiJ9.{chance.randbytes(12).hex()}.{'A' * 43}"
    return commands(*({"type": "auth", "id": 1, "token": token} for _ in range(50)))


def big_messages(chance):
    return commands({"type": "publish", "id": 1, "topic": f"flood:big:{chance.randrange(2000)}", "data": "y" * 60000})


def keys(chance):
    return commands(*(
        {"type": "publish", "id": 1, "topic": "ticker:flood", "key": str(chance.randrange(1 << 30)), "data": 1} for _ in range(100)
    ))


def garbage(chance):
    return hostile.garbage(chance.random())


def own_topics(chance):
    return commands(*({"type": "subscribe", "id": 1, "topic": f"order:never:{chance.randrange(1 << 40)}"} for _ in range(100)))


def editing(chance):
    client = chance.randrange(1, 1 << 30)
    update = hostile.update([bytes([4]) + b"\x01\x01t" + b"\x05hello"], client)
    return binary(hostile.sync(update)) + binary(hostile.awareness(client, 1, '{"user":1}'))


def deep_documents(chance):
    return binary(hostile.sync(hostile.nested_types(5000, chance.randrange(1, 1 << 30))))


def conflicts(_):
    return binary(hostile.sync(hostile.conflicting(2000)))


def asked_awareness(_):
    return binary(bytes([3])) * 200


# Name, path, what is pushed, whether its answers are read.
OVER_SOCKETS = [
    ("pings", "/ws", pings, True),
    ("fragments", "/ws", one_byte_fragments, True),
    ("publishes to a thousand topics", "/ws", thousand_topics, True),
    ("histories", "/ws", histories, True),
    ("histories, not read", "/ws", histories, False),
    ("coming and going", "/ws", coming_and_going, True),
    ("presences", "/ws", presences, True),
    ("false tokens", "/ws", false_tokens, True),
    ("big messages", "/ws", big_messages, True),
    ("keys", "/ws", keys, True),
    ("garbage", "/ws", garbage, True),
    ("subscriptions to durable topics", "/ws", own_topics, True),
    ("editors", "/yjs/doc:soak-{}", editing, True),
    ("nested types", "/yjs/doc:soak-deep-{}", deep_documents, True),
    ("conflicts", "/yjs/doc:soak-conflict-{}", conflicts, True),
    ("awareness, not read", "/yjs/doc:soak-{}", asked_awareness, False),
]

# Name, method, path, headers, body.
OVER_HTTP = [
    ("deep XML", "POST", "/in/loadtest", {"Content-Type": "application/xml"}, hostile.DEEP_XML),
    ("deep JSON", "POST", "/in/loadtest", {"Content-Type": "application/json"}, hostile.DEEP_JSON),
    ("awkward JSON", "POST", "/v1/topics/flood:json/messages", {"Content-Type": "application/json"}, hostile.AWKWARD_JSON),
    ("many numbers", "PUT", "/v1/documents/doc:soak-numbers", {"Content-Type": "application/json"}, hostile.MANY_NUMBERS),
    ("listings", "GET", "/v1/topics?limit=1000", {}, None),
    ("metrics", "GET", "/metrics", {}, None),
    ("reading documents", "GET", "/v1/documents/doc:soak-{}", {}, None),
    ("reading deep documents", "GET", "/v1/documents/doc:soak-deep-{}", {}, None),
    ("versions of conflicts", "POST", "/v1/documents/doc:soak-conflict-{}/versions", {"Content-Type": "application/json"}, b'{"name":"x"}'),
    ("deleting documents", "DELETE", "/v1/documents/doc:soak-{}", {}, None),
]

AT_IT_S, QUIET_S = 20, 10


class Floods:
    """All floods, each in a thread."""

    def __init__(self, address, until, seed, only):
        self.address, self.until = address, until
        self.done = {}
        self.sources = iter(f"127.0.{number // 200 + 2}.{number % 200 + 1}" for number in range(10000))
        tasks = [(name, self._socket, (path, make, read)) for name, path, make, read in OVER_SOCKETS]
        tasks += [(name, self._http, tuple(rest)) for name, *rest in OVER_HTTP]
        tasks += [("unfinished bodies", self._unfinished, ()), ("short visits", self._visits, ())]
        self.threads = [
            threading.Thread(target=self._alternate, args=(name, task, next(self.sources), random.Random(f"{seed} {name}"), rest))
            for name, task, rest in tasks
            if re.search(only, name)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def _alternate(self, name, task, source, chance, rest):
        self.done[name] = [0, 0]
        # Floods come from other machines: here they share the processors with what they are sent to, and give way to it.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        # Not all at once, and never in step.
        self.until.wait(chance.random() * QUIET_S)
        while not self.until.is_set():
            end = time.monotonic() + AT_IT_S * (0.5 + chance.random())
            while time.monotonic() < end and not self.until.is_set():
                try:
                    task(self.done[name], source, chance, end, *rest)
                except (OSError, http.client.HTTPException):
                    # Turned away: that is how it should be. Comes again, like somebody who does not learn.
                    self.done[name][1] += 1
                    self.until.wait(0.5)
            self.until.wait(QUIET_S * (0.5 + chance.random()))

    def _socket(self, done, source, chance, end, path, make, read):
        socket = WebSocket(self.address, source, path.format(chance.randrange(20)))
        try:
            while time.monotonic() < end and not self.until.is_set():
                socket.push(make(chance), read=read)
                done[0] += 1
                # As fast as a script in a loop is: some ten thousand commands a second, not what this machine's other core can make.
                time.sleep(0.005)
        finally:
            socket.close()

    def _http(self, done, source, chance, end, method, path, headers, body):
        connection = http.client.HTTPConnection(*self.address, timeout=30, source_address=(source, 0))
        try:
            while time.monotonic() < end and not self.until.is_set():
                connection.request(method, urllib.parse.quote(path.format(chance.randrange(20)), safe="/:?=&"), body, headers)
                connection.getresponse().read()
                done[0] += 1
                time.sleep(0.05)
        finally:
            connection.close()

    def _unfinished(self, done, source, _chance, end):
        """Requests that never end, to routes open and closed."""
        head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        open_ones = []
        try:
            for path in ["/in/loadtest", "/v1/disconnect", "/v1/publish", "/v1/topics/flood:x/messages"] * 10:
                socket = connect(self.address, source)
                socket.sendall(head.format(path).encode() + b'{"a":"' + b"x" * 50000)
                open_ones.append(socket)
                done[0] += 1
            self.until.wait(max(0, end - time.monotonic()))
        finally:
            for socket in open_ones:
                socket.close()

    def _visits(self, done, source, chance, _end):
        """Connections that come, subscribe and are gone without a word; every third is killed in the middle of a frame."""
        for _ in range(50):
            socket = WebSocket(self.address, source)
            whole = commands({"type": "subscribe", "id": 1, "topic": f"flood:{chance.randrange(20)}", "presence": True})
            socket.push(whole if chance.random() < 0.7 else whole[:20])
            socket.close()
            done[0] += 1
        self.until.wait(0.5)
