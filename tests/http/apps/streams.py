"""WebSockets, server-sent events, large bodies: everything that must pass without being gathered first."""

import asyncio
import hashlib
import json

import serve
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

# Each `POST /events/next` lets one more event out, so a client can tell that it got one before the next was made.
released = asyncio.Queue()


async def events(request):
    async def body():
        yield ": open\n\n"
        while True:
            number = await released.get()
            if number is None:
                return
            yield f"data: {number}\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


async def release(request):
    for number in (await request.json())["events"]:
        await released.put(number)
    return JSONResponse({"released": True})


async def echo(socket):
    """Echoes every message; `headers` is answered with the handshake's headers, `close` with code 4001."""
    await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("bytes") is not None:
            await socket.send_bytes(message["bytes"])
        elif message["text"] == "headers":
            await socket.send_text(json.dumps(dict(socket.headers)))
        elif message["text"] == "close":
            await socket.close(4001, "as asked")
            return
        else:
            await socket.send_text(message["text"])


async def upload(request):
    """The length and the hash of the body, which is never held whole."""
    digest, length = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        length += len(piece)
    return JSONResponse({"length": length, "sha256": digest.hexdigest()})


async def download(request):
    """As many bytes as asked for, and their hash to compare."""
    length = int(request.path_params["length"])
    piece = bytes(range(256)) * 256
    digest = hashlib.sha256()

    def pieces():
        left = length
        while left > 0:
            yield piece[: min(left, len(piece))]
            left -= len(piece)

    for part in pieces():
        digest.update(part)
    headers = {"X-SHA256": digest.hexdigest()}
    if "sized" in request.query_params:
        headers["Content-Length"] = str(length)
    return StreamingResponse(pieces(), headers=headers, media_type="application/octet-stream")


app = Starlette(
    routes=[
        Route("/events", events),
        Route("/events/next", release, methods=["POST"]),
        Route("/upload", upload, methods=["POST", "PUT"]),
        Route("/download/{length:int}", download),
        WebSocketRoute("/echo", echo),
    ]
)

if __name__ == "__main__":
    serve.asgi(app)
