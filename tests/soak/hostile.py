"""What strangers send: bodies and updates that are legal and mean harm, made once."""

import json
import random

DEEP_XML = b"<a><!--" + b"</a>" * 10 + b"-->" + b"<a><!--</a>-->" * 9000
DEEP_JSON = b"[" * 60000
AWKWARD_JSON = b'\xef\xbb\xbf{"a":"\\ud800","n":123456789012345678901234567890.10,"n":1e400}'
MANY_NUMBERS = json.dumps({"root": {"type": "array", "value": list(range(10000))}}).encode()


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def update(structs, client=7):
    """A Yjs update of one client with these structs from clock 0, that deletes nothing."""
    return varint(1) + varint(len(structs)) + varint(client) + varint(0) + b"".join(structs) + varint(0)


def nested_types(depth, client=7):
    """Each array within the one before it."""
    root = bytes([7]) + varint(1) + varint(4) + b"root" + varint(0)
    inner = [bytes([7]) + varint(0) + varint(client) + varint(number) + varint(0) for number in range(depth - 1)]
    return update([root, *inner], client)


def conflicting(clients):
    """Everybody inserts at the same place."""
    struct = bytes([4]) + varint(1) + varint(1) + b"t" + varint(1) + b"x"
    blocks = [varint(1) + varint(client) + varint(0) + struct for client in range(1, clients + 1)]
    return varint(clients) + b"".join(blocks) + varint(0)


def sync(payload):
    """An update as the provider sends it."""
    return varint(0) + varint(2) + varint(len(payload)) + payload


def awareness(client, clock, state):
    body = varint(1) + varint(client) + varint(clock) + varint(len(state)) + state.encode()
    return varint(1) + varint(len(body)) + body


def garbage(seed):
    return random.Random(seed).randbytes(4096)
