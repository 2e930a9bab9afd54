"""A gRPC service without generated code: messages are JSON texts. With a certificate and its key as arguments it speaks TLS.

/test.Echo/Unary    says back what it heard: the message and the metadata
/test.Echo/Server   {"count": N} is answered with N messages
/test.Echo/Client   is told how many messages there were, and how long all of them were
/test.Echo/Bidi     says back each message as it comes
/test.Echo/Fail     {"code": N, "details": "…"} is how it ends
/test.Echo/Slow     {"seconds": N} is how long it waits
/test.Echo/Rest     {"serving": true} is what its health service says from then on
"""

import json
import sys
import time
from concurrent import futures

import grpc
import serve


def heard(context):
    return {key: value if isinstance(value, str) else value.hex() for key, value in context.invocation_metadata()}


def unary(request, context):
    context.set_trailing_metadata((("x-trailer", "behind"), ("x-trailer-bin", b"\x00\xff")))
    context.send_initial_metadata((("x-leader", "ahead"),))
    return json.dumps({"said": request.decode(), "metadata": heard(context), "peer": context.peer()}).encode()


def server(request, context):
    for number in range(json.loads(request)["count"]):
        yield json.dumps({"number": number}).encode()


def client(requests, context):
    sizes = [len(request) for request in requests]
    return json.dumps({"messages": len(sizes), "bytes": sum(sizes)}).encode()


def bidi(requests, context):
    for request in requests:
        yield request
    context.set_trailing_metadata((("x-trailer", "behind"),))


def fail(request, context):
    asked = json.loads(request)
    code = next(code for code in grpc.StatusCode if code.value[0] == asked["code"])
    context.set_trailing_metadata((("x-trailer", "behind"),))
    context.abort(code, asked["details"])


def slow(request, context):
    time.sleep(json.loads(request)["seconds"])
    return b"{}"


serving = True


def rest(request, context):
    global serving
    serving = json.loads(request)["serving"]
    return b"{}"


def check(request, context):
    # A HealthCheckResponse: SERVING is 1, NOT_SERVING is 2.
    return b"\x08\x01" if serving else b"\x08\x02"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Server": grpc.unary_stream_rpc_method_handler(server),
    "Client": grpc.stream_unary_rpc_method_handler(client),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Rest": grpc.unary_unary_rpc_method_handler(rest),
}


def main():
    service = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    service.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("test.Echo", HANDLERS),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        )
    )
    if len(sys.argv) > 1:
        with open(sys.argv[1], "rb") as cert, open(sys.argv[2], "rb") as key:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        port = service.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = service.add_insecure_port("127.0.0.1:0")
    service.start()
    serve.end_with_input(lambda: service.stop(0))
    serve.say("127.0.0.1", port)
    service.wait_for_termination()


main()
