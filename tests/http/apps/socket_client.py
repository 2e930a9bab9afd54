"""A WebSocket client that a test leads: every line of standard input is one message, every answer one line of output.

    socket_client.py URL ['Name: value' ...]
"""

import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def main(url, *headers):
    headers = [tuple(part.strip() for part in header.split(":", 1)) for header in headers]
    try:
        with connect(url, additional_headers=headers, proxy=None, max_size=None) as socket:
            print("open", flush=True)
            lead(socket)
        print("closed 1000", flush=True)
    except InvalidStatus as refusal:
        print(f"refused {refusal.response.status_code}", flush=True)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        print(f"closed {code}", flush=True)


def lead(socket):
    for line in sys.stdin:
        message = line.rstrip("\n")
        if message.startswith("bytes "):
            # A binary message of that many bytes; its echo is reported by length.
            socket.send(bytes(int(message[6:])))
            print(f"bytes {len(socket.recv())}", flush=True)
        elif message == "(wait)":
            print(socket.recv(), flush=True)
        else:
            socket.send(message)
            print(socket.recv(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
