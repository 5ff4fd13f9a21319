"""A Socket.IO server with rooms: `subscribe` joins one, `publish` sends to one. The port is the only argument."""
import inspect
import sys

import socketio
from aiohttp import web

# Handlers one after the other, or a client's messages could overtake each other.
server = socketio.AsyncServer(async_mode="aiohttp", async_handlers=False)
app = web.Application()
server.attach(app)


@server.event
async def subscribe(sid, topic):
    joined = server.enter_room(sid, topic)
    if inspect.isawaitable(joined):  # newer versions
        await joined
    return True


@server.event
async def publish(sid, topic, data):
    await server.emit("message", data, room=topic)
    return True


web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
