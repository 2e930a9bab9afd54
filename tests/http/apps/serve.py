"""How every application here is served: on a free port, which it prints, until its standard input ends."""

import os
import signal
import socket
import socketserver
import threading
import wsgiref.simple_server


def listen():
    """A listening socket on a free port of the loopback."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def announce(listener):
    host, port = listener.getsockname()
    say(host, port)


def say(host, port):
    print(f"listening {host}:{port}", flush=True)


def end_with_input(end=lambda: os.kill(os.getpid(), signal.SIGTERM)):
    """Calls `end` once whoever started this process is gone, or says that it is no longer needed."""

    def wait():
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=wait, daemon=True).start()


def asgi(app):
    import uvicorn

    listener = listen()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, server_header=False)
    server = uvicorn.Server(config)
    end_with_input(lambda: setattr(server, "should_exit", True))
    announce(listener)
    server.run(sockets=[listener])


def gunicorn(app):
    """A WSGI application as it is served in production."""
    from gunicorn.app.base import BaseApplication

    listener = listen()
    address = listener.getsockname()

    class Served(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"fd://{listener.detach()}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", 8)
            self.cfg.set("graceful_timeout", 1)
            self.cfg.set("loglevel", "warning")
            self.cfg.set("when_ready", lambda _: say(*address))
            self.cfg.set("control_socket_disable", True)

        def load(self):
            return app

    end_with_input()
    Served().run()


class _Threaded(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def wsgi(app):
    """The standard library's server: it folds every header name as CGI does and drops none."""
    server = _Threaded(("127.0.0.1", 0), _Quiet)
    server.set_app(app)
    end_with_input(lambda: os._exit(0))
    announce(server.socket)
    server.serve_forever()
