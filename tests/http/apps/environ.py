"""Answers with its WSGI environment: what an application of that kind sees of a request."""

import json

import serve


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    seen = {name: value for name, value in environ.items() if isinstance(value, str)}
    # The process's own environment is in there as well.
    seen = {name: value for name, value in seen.items() if name.startswith("HTTP_") or name in NAMES}
    seen["body"] = body.decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


NAMES = {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_PROTOCOL", "REMOTE_ADDR"}

if __name__ == "__main__":
    serve.wsgi(app)
