"""Serves the application of a file: the code that a page of the documentation shows, as it stands there."""

import runpy
import sys

import serve

app = runpy.run_path(sys.argv[1])["app"]
(serve.asgi if type(app).__module__.startswith("fastapi") else serve.wsgi)(app)
