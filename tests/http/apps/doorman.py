"""An application that has always known its users by a session, and is asked by others who they are."""

import serve
from flask import Flask, request, session

app = Flask(__name__)
app.secret_key = "a key of the doorman's own, for these tests alone"

GROUPS = {"alice": "staff, Domain Admins", "bob": ""}
ASKED = []


@app.post("/login")
def login():
    session["user"] = request.form["username"]
    return {"hello": session["user"]}


@app.post("/logout")
def logout():
    session.clear()
    return {}


@app.route("/check", methods=["GET", "POST", "PUT", "DELETE"])
def check():
    told = {name: request.headers.get(f"X-Forwarded-{name}") for name in ["Method", "Proto", "Host", "Uri", "For"]}
    ASKED.append({"method": request.method, **told})
    user = session.get("user")
    if user is None:
        return {"error": "log in first"}, 401, {"WWW-Authenticate": 'Cookie realm="doorman", form-action="/login"'}
    if told["Uri"].startswith("/vault") and user != "alice":
        return {"error": "not for you"}, 403
    headers = {"X-User": user}
    if GROUPS.get(user):
        headers["X-Groups"] = GROUPS[user]
    return {"you": "may"}, 200, headers


@app.get("/asked")
def asked():
    return ASKED


if __name__ == "__main__":
    serve.wsgi(app)
