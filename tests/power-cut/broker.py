#!/usr/bin/env python3
"""A whole broker under the power-cut test: published to over sockets, and looked at after each cut.

    broker.py write DIR            starts a broker on DIR and publishes numbers with ack=durable; prints the number up to which
                                   everything was acknowledged, or delivered to a subscriber of a topic that delivers only what is safe
    broker.py check DIR NUMBER     starts a broker on DIR; fails unless everything up to NUMBER is there, in order and once

Number n goes to the topic TOPICS[n % 8], so each topic holds every eighth number. The binary is BROKER_BIN.
"""

import base64
import ctypes
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request

TOPICS = ["safe:0", "safe:1", "safe:2", "short:0", "safe:3", "early:0", "early:1", "price:0"]
BINARY = os.environ.get("BROKER_BIN", "fanwire")
KEPT = {"safe": 2000, "early": 2000, "short": 50}
KEYS = 10
PUBLISHERS = 4
WINDOW = 400
PATIENCE_S = 30
CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "broker.toml")


def payload(number):
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {"n": number, "pad": (digest * 8)[: number * 37 % 500]}


def key(number):
    return f"k{number // len(TOPICS) % KEYS}"


class Broker:
    """A running broker; dies with this process."""

    def __init__(self, directory):
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--shards", "1"]
        command += ["--config", CONFIG, "--data-dir", directory, "--disk-reserve-bytes", "1048576", "--log-level", "warn"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        for line in self.process.stdout:
            found = re.search(r"ws://([\d.]+):(\d+)/ws", line)
            if found:
                self.address = found[1], int(found[2])
                return
        raise SystemExit(f"the broker did not start, and ended with {self.process.wait()}")

    def get(self, path):
        host, port = self.address
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Socket:
    """A WebSocket client: texts of JSON, one object or several each."""

    def __init__(self, address):
        self.tcp = socket.create_connection(address, PATIENCE_S)
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.tcp.sendall(
            f"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode()
        )
        self.file = self.tcp.makefile("rb")
        if b" 101 " not in self.file.readline():
            raise OSError("no WebSocket")
        while self.file.readline() != b"\r\n":
            pass
        self.ready = []

    def send(self, *objects):
        text = json.dumps(objects).encode()
        # Masked with zeros, which leaves it as it is.
        length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        self.tcp.sendall(b"\x81" + length + bytes(4) + text)

    def next(self):
        while not self.ready:
            first, length = self.file.read(2)
            if length >= 126:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self.file.read(size), "big")
            body = self.file.read(length)
            if first & 0x0F == 8:
                raise OSError(f"closed: {body}")
            if first & 0x0F == 9:
                self.tcp.sendall(bytes([0x8A, 0x80 | length]) + bytes(4) + body)
            elif first & 0x0F == 1:
                events = json.loads(body)
                self.ready = events if isinstance(events, list) else [events]
        return self.ready.pop(0)


class Known:
    """Numbers of which the broker has said that they are safe."""

    def __init__(self):
        self.upto = 0
        self.beyond = set()
        self.changed = threading.Condition()

    def add(self, number):
        with self.changed:
            if number > self.upto:
                self.beyond.add(number)
            before = self.upto
            while self.upto + 1 in self.beyond:
                self.upto += 1
                self.beyond.discard(self.upto)
            if self.upto > before:
                print(self.upto, flush=True)
                self.changed.notify_all()

    def wait_for_room(self, number):
        with self.changed:
            self.changed.wait_for(lambda: number <= self.upto + WINDOW)


def write(directory):
    broker, known = Broker(directory), Known()
    # A thread that fails takes everything with it: then the writer has ended, which the test notices.
    threading.excepthook = lambda failure: (print(f"{failure.exc_value!r}", file=sys.stderr, flush=True), os._exit(1))
    threads = [threading.Thread(target=watch, args=(broker, known))]
    for number in range(1, PUBLISHERS + 1):
        client = Socket(broker.address)
        threads.append(threading.Thread(target=publish, args=(client, known, number)))
        threads.append(threading.Thread(target=hear, args=(client, known)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def publish(client, known, number):
    while True:
        known.wait_for_room(number)
        message = {"type": "publish", "id": number, "topic": TOPICS[number % len(TOPICS)], "data": payload(number), "ack": "durable"}
        if message["topic"].startswith("price:"):
            message["key"] = key(number)
        if number % 3 == 0:
            message["message_id"] = f"m{number}"
        client.send(message)
        number += PUBLISHERS


def hear(client, known):
    while True:
        event = client.next()
        if event["type"] == "ok":
            known.add(event["id"])
        elif event["type"] == "error":
            raise OSError(event)


def watch(broker, known):
    client = Socket(broker.address)
    client.send(*({"type": "subscribe", "topic": topic} for topic in TOPICS if topic.startswith("safe:")))
    while True:
        event = client.next()
        if event["type"] == "message":
            known.add(event["data"]["n"])


def numbers_of(topic, upto):
    """Those that were published to a topic."""
    first = TOPICS.index(topic) or len(TOPICS)
    return range(first, upto + 1, len(TOPICS))


def check(directory, upto):
    broker = Broker(directory)
    for topic in TOPICS:
        name = topic.split(":")[0]
        last = check_values(broker, topic, upto) if name == "price" else check_log(broker, topic, upto, KEPT[name])
        client = Socket(broker.address)
        client.send({"type": "publish", "id": 1, "topic": topic, "data": 1, "ack": "durable", **({"key": "new"} if name == "price" else {})})
        reply = next(event for event in iter(client.next, None) if event["type"] != "welcome")
        if reply["type"] != "ok" or reply["offset"] <= last:
            raise SystemExit(f"{topic}: the last offset was {last}, and the next message got {reply}")
    code = broker.end()
    if code:
        raise SystemExit(f"the broker ended with {code}")
    checked = subprocess.run([BINARY, "store", "check", directory], capture_output=True, text=True)
    if checked.returncode:
        raise SystemExit(f"the store is not whole: {checked.stdout}{checked.stderr}")


def check_log(broker, topic, upto, kept):
    messages, page = [], {"next": None}
    while "next" in page and (page.get("more", True)):
        after = f"&after={page['next']}" if page["next"] else ""
        page = broker.get(f"/v1/topics/{topic}/messages?limit=1000{after}")
        messages += page["messages"]
    numbers = [message["data"]["n"] for message in messages]
    offsets = [message["offset"] for message in messages]
    last = numbers[-1] if numbers else 0
    if last < max(numbers_of(topic, upto), default=0):
        raise SystemExit(f"{topic}: everything up to {upto} was acknowledged, {last} is the last one there")
    expected = list(numbers_of(topic, last))[-kept:]
    if numbers != expected:
        wrong = next((pair for pair in zip(numbers, expected) if pair[0] != pair[1]), "another count")
        raise SystemExit(f"{topic}: {len(numbers)} messages from {numbers[:1]} to {last}, {len(expected)} expected; {wrong}")
    if any(message["data"] != payload(message["data"]["n"]) for message in messages):
        raise SystemExit(f"{topic}: a message is not what was published")
    if any(first >= second for first, second in zip(offsets, offsets[1:])):
        raise SystemExit(f"{topic}: offsets are not in order")
    return offsets[-1] if offsets else 0


def check_values(broker, topic, upto):
    newest = {key(number): number for number in numbers_of(topic, upto)}
    client = Socket(broker.address)
    client.send({"type": "subscribe", "id": 1, "topic": topic})
    last = 0
    while newest:
        event = client.next()
        if event["type"] == "message":
            number = event["data"]["n"]
            if event["data"] != payload(number) or event["key"] != key(number) or number < newest.pop(event["key"], 0):
                raise SystemExit(f"{topic}: {event} is not what was published, or older than what was acknowledged")
            last = max(last, event["offset"])
    return last


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", directory]:
            write(directory)
        case ["check", directory, number]:
            check(directory, int(number))
        case _:
            raise SystemExit(__doc__)
