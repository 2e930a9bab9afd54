"""A gRPC client: reads one JSON object from standard input, makes its calls one after the other on one channel, prints what
became of each.

{"target": "127.0.0.1:1", "ca": "…", "name": "…", "calls": [{"method": "/a.B/C", "kind": "unary_unary", "requests": ["…"],
 "metadata": [["key", "value"]], "held": true}]}
prints [{"messages": ["…"], "code": 0, "details": "…", "leading": {…}, "trailing": {…}}]

A call of a stream of requests sends each after the answer to the one before, if it is answered by a stream.
"""

import json
import queue
import sys

import grpc

PATIENCE = 30


def metadata(entries):
    return {key: value if isinstance(value, str) else value.hex() for key, value in entries or ()}


def channel(asked):
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    if "ca" not in asked:
        return grpc.insecure_channel(asked["target"], options)
    options.append(("grpc.ssl_target_name_override", asked["name"]))
    return grpc.secure_channel(asked["target"], grpc.ssl_channel_credentials(asked["ca"].encode()), options)


def call(channel, asked):
    requests = [request.encode() for request in asked["requests"]]
    kind, method = asked["kind"], asked["method"]
    options = {"metadata": tuple(map(tuple, asked.get("metadata", ()))), "timeout": PATIENCE, "wait_for_ready": False}
    messages = []
    if kind == "stream_stream":
        waiting = queue.SimpleQueue()
        run = channel.stream_stream(method)(iter(waiting.get, None), **options)
        # What is held never comes to its end by itself.
        for request in [*requests, *([] if asked.get("held") else [None])]:
            waiting.put(request)
            if request is not None:
                messages.append(next(run, b"nothing"))
    elif kind == "stream_unary":
        run = channel.stream_unary(method).future(iter(requests), **options)
    elif kind == "unary_stream":
        run = channel.unary_stream(method)(requests[0], **options)
    else:
        run = channel.unary_unary(method).future(requests[0], **options)
    try:
        if kind.endswith("_stream"):
            messages.extend(run)
        else:
            messages.append(run.result())
    except grpc.RpcError:
        pass
    return {
        "messages": [message.decode() for message in messages],
        "code": run.code().value[0],
        "details": run.details(),
        "leading": metadata(run.initial_metadata()),
        "trailing": metadata(run.trailing_metadata()),
    }


def main():
    asked = json.load(sys.stdin)
    with channel(asked) as opened:
        json.dump([safely(opened, one) for one in asked["calls"]], sys.stdout)


def safely(opened, asked):
    try:
        return call(opened, asked)
    except grpc.RpcError as error:
        return {
            "messages": [],
            "code": error.code().value[0],
            "details": error.details(),
            "leading": metadata(error.initial_metadata()),
            "trailing": metadata(error.trailing_metadata()),
        }


main()
