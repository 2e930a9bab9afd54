"""httpbin, as published, on the server it is usually run with."""

import serve
from httpbin import app

if __name__ == "__main__":
    serve.gunicorn(app)
