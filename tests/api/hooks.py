"""What schemathesis does not know by itself: bodies of lines."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The message three times: complete, cut in two by a line break, and complete without one."""
    line = value if isinstance(value, bytes) else json.dumps(value).encode()
    return {"data": line + b"\n" + line[:5] + b"\n" + line[5:] + b"\n\n" + line}
