"""The application of `guarded.py` without a guard: whoever reaches it is let in, and headers say who that is."""

from typing import Annotated

import serve
from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/public")
async def public():
    return {"message": "welcome"}


@app.get("/users/me")
async def read_me(x_user_id: Annotated[str | None, Header()] = None):
    return {"id": x_user_id}


@app.get("/data")
async def read_data(x_user_id: Annotated[str | None, Header()] = None):
    return {"client": x_user_id}


@app.get("/moderation")
async def moderation(x_user_id: Annotated[str | None, Header()] = None):
    return {"id": x_user_id}


@app.delete("/users/{user_id}")
async def delete_user(user_id: str, x_user_id: Annotated[str | None, Header()] = None):
    return {"deleted": user_id, "by": x_user_id}


@app.get("/limited")
async def limited():
    return {"message": "counted"}


if __name__ == "__main__":
    serve.asgi(app)
