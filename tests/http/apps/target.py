"""A target that takes its time over each answer, so that whoever kills it does so within one.

The answer is the request's target, then 32 KiB in pieces. What was asked is printed, a line a request, before it is answered.
"""

import http.server
import socketserver
import sys
import time

import serve

PIECE = b"x" * 4096
PIECES = 8


class Target(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(self.command, self.path, flush=True)
        first = (self.path + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(first) + PIECES * len(PIECE)))
        self.end_headers()
        self.wfile.write(first)
        for _ in range(PIECES):
            time.sleep(0.002)
            self.wfile.write(PIECE)
            self.wfile.flush()

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """Whoever went away before the end of an answer is no error."""


server = Server(("127.0.0.1", int(sys.argv[1])), Target)
serve.end_with_input(server.shutdown)
serve.say(*server.server_address)
server.serve_forever()
