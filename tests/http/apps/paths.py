"""One secret and one public handler, on servers that read paths each in their own way; each says which handler it ran.

    paths.py nginx | nginx-nocase | werkzeug | starlette | node | lenient

`/admin` and all beneath it is the secret, `/public` and all beneath it is not; `X-Handler` names what ran.
"""

import os
import pathlib
import posixpath
import re
import subprocess
import sys
import tempfile
import urllib.parse

import serve

TOOLS = pathlib.Path(os.environ.get("PORTCULLIS_TEST_TOOLS", ".tools/bin"))


def handler_of(path):
    """Which handler a path leads to, once a server has made up its mind what the path is."""
    for name, handler in (("/admin", "secret"), ("/public", "public")):
        if path == name or path.startswith(name + "/"):
            return handler
    return "none"


def answer(handler):
    status = "404 Not Found" if handler == "none" else "200 OK"
    return status, [("Content-Type", "text/plain"), ("X-Handler", handler)], handler


NGINX = """
daemon off;
worker_processes 1;
error_log stderr crit;
pid %(directory)s/pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path %(directory)s/body;
    proxy_temp_path %(directory)s/proxy;
    fastcgi_temp_path %(directory)s/fastcgi;
    uwsgi_temp_path %(directory)s/uwsgi;
    scgi_temp_path %(directory)s/scgi;
    server {
        listen %(address)s;
        location %(case)s ^/admin(/|$) { add_header X-Handler secret; return 200 secret; }
        location %(case)s ^/public(/|$) { add_header X-Handler public; return 200 public; }
        location / { add_header X-Handler none always; return 404 none; }
    }
}
"""


def nginx(case):
    listener = serve.listen()
    os.set_inheritable(listener.fileno(), True)
    address = "%s:%d" % listener.getsockname()
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory, "nginx.conf")
        config.write_text(NGINX % {"directory": directory, "address": address, "case": case})
        # The descriptor is handed over as in an upgrade of nginx, so nobody can take the port in between.
        child = subprocess.Popen(
            [TOOLS / "nginx", "-e", "stderr", "-p", directory, "-c", config],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
        )
        serve.end_with_input(child.terminate)
        serve.announce(listener)
        listener.close()
        child.wait()


def werkzeug():
    from werkzeug.exceptions import HTTPException, NotFound
    from werkzeug.routing import Map, Rule
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.wrappers import Request, Response

    rules = [
        Rule(path, endpoint=endpoint)
        for prefix, endpoint in (("/admin", "secret"), ("/public", "public"))
        for path in (prefix, prefix + "/", prefix + "/<path:rest>")
    ]
    urls = Map(rules, strict_slashes=False)

    @Request.application
    def app(request):
        try:
            endpoint, _ = urls.bind_to_environ(request.environ).match()
        except NotFound:
            return Response("none", status=404, headers={"X-Handler": "none"})
        except HTTPException as redirect:
            return redirect.get_response(request.environ)
        return Response(endpoint, headers={"X-Handler": endpoint})

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_):
            pass

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    serve.end_with_input(lambda: os._exit(0))
    serve.announce(server.socket)
    server.serve_forever()


def starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def say(handler, status=200):
        async def endpoint(request):
            return PlainTextResponse(handler, status, headers={"X-Handler": handler})

        return endpoint

    routes = [
        Route(path, say(handler), methods=["GET", "POST"])
        for prefix, handler in (("/admin", "secret"), ("/public", "public"))
        for path in (prefix, prefix + "/{rest:path}")
    ]
    routes.append(Route("/{rest:path}", say("none", 404)))
    serve.asgi(Starlette(routes=routes))


def lenient():
    """The most forgiving server there could be: it undoes all that any of the others undoes, and then some."""
    import http.server
    import socketserver

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, headers, body = answer(handler_of(read(self.raw_target())))
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def raw_target(self):
            # `self.path` has had its leading slashes merged.
            return self.requestline.split(" ")[1]

        def log_message(self, *_):
            pass

    def read(target):
        path = re.sub(r"[?#].*", "", target, flags=re.S)
        for _ in range(2):
            path = urllib.parse.unquote(path, errors="replace")
        path = path.replace("\\", "/").split("\0")[0]
        path = re.sub(r";[^/]*", "", path)
        path = re.sub(r"/+", "/", "/" + path)
        return posixpath.normpath(path).lower()

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    serve.end_with_input(lambda: os._exit(0))
    serve.announce(server.socket)
    server.serve_forever()


def node():
    script = pathlib.Path(__file__).with_suffix(".js")
    os.execv(TOOLS / "node", ["node", str(script)])


ORACLES = {
    "nginx": lambda: nginx("~"),
    "nginx-nocase": lambda: nginx("~*"),
    "werkzeug": werkzeug,
    "starlette": starlette,
    "node": node,
    "lenient": lenient,
}

if __name__ == "__main__":
    ORACLES[sys.argv[1]]()
