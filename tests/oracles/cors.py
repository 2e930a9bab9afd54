"""What Starlette's CORSMiddleware answers.

{"terms": {…}, "calls": [{"method": "…", "headers": {…}}, …]} prints [{"status": …, "headers": {…}}, …]. The terms are the
middleware's own arguments.
"""

import asyncio
import json
import sys

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse


async def answered(app, call):
    headers = [(name.lower().encode(), value.encode()) for name, value in call["headers"].items()]
    scope = {"type": "http", "method": call["method"], "path": "/x", "query_string": b"", "headers": headers}
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    names = {}
    for name, value in sent[0]["headers"]:
        names.setdefault(name.decode(), []).append(value.decode())
    return {"status": sent[0]["status"], "headers": {name: ", ".join(values) for name, values in names.items()}}


async def main():
    asked = json.load(sys.stdin)
    answers = []
    for series in asked:
        app = CORSMiddleware(PlainTextResponse("ok"), **series["terms"])
        answers.append([await answered(app, call) for call in series["calls"]])
    return answers


if __name__ == "__main__":
    json.dump(asyncio.run(main()), sys.stdout)
