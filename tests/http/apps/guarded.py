"""A small application that guards itself, written the way its framework's security chapter teaches.

`naked.py` is the same application without a line of this; portcullis with `twin.yaml` stands before that one.
"""

from datetime import datetime, timedelta, timezone
from typing import Annotated

import jwt
import serve
from fastapi import Depends, FastAPI, HTTPException, Request, Security, status
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader, APIKeyQuery, OAuth2PasswordBearer, OAuth2PasswordRequestForm
from jwt.exceptions import InvalidTokenError
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from pydantic import BaseModel
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

SECRET_KEY = "the-secret-of-both-twins-is-a-test-secret"
ALGORITHM = "HS256"
ISSUER = AUDIENCE = "portcullis"
ACCESS_TOKEN_EXPIRE_MINUTES = 30

ROLE_PERMISSIONS = {
    "user": ["read:items"],
    "moderator": ["read:items", "write:items"],
    "admin": ["read:items", "write:items", "delete:users", "write:users"],
}

password_hash = PasswordHash((BcryptHasher(rounds=4),))

users_db = {
    name: {"id": name, "username": name, "hashed_password": password_hash.hash(password), "roles": roles}
    for name, password, roles in [
        ("alice", "wonderland", ["admin"]),
        ("bob", "builder", ["moderator"]),
        ("carol", "singer", ["user"]),
    ]
}

api_keys_db = {"twin-api-key": "robot"}


class Token(BaseModel):
    access_token: str
    token_type: str


class User(BaseModel):
    id: str
    username: str
    roles: list[str]

    @property
    def permissions(self):
        return {permission for role in self.roles for permission in ROLE_PERMISSIONS[role]}


limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://app.example.com"],
    allow_credentials=True,
    allow_methods=["GET", "POST", "PUT", "DELETE"],
    allow_headers=["*"],
)


@app.middleware("http")
async def add_security_headers(request: Request, call_next):
    response = await call_next(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-XSS-Protection"] = "1; mode=block"
    response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return response


oauth2_scheme = OAuth2PasswordBearer(tokenUrl="auth/token")
api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False)
api_key_query = APIKeyQuery(name="api_key", auto_error=False)


def authenticate_user(username: str, password: str):
    user = users_db.get(username)
    if not user or not password_hash.verify(password, user["hashed_password"]):
        return None
    return User(**user)


def create_access_token(user: User):
    now = datetime.now(timezone.utc)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user.id,
        "iat": now,
        "exp": now + timedelta(minutes=ACCESS_TOKEN_EXPIRE_MINUTES),
        "roles": user.roles,
    }
    return jwt.encode(claims, SECRET_KEY, algorithm=ALGORITHM)


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)]):
    credentials_exception = HTTPException(
        status_code=status.HTTP_401_UNAUTHORIZED,
        detail="Could not validate credentials",
        headers={"WWW-Authenticate": "Bearer"},
    )
    try:
        claims = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM], issuer=ISSUER, audience=AUDIENCE)
        user = users_db.get(claims.get("sub"))
    except InvalidTokenError:
        raise credentials_exception
    if user is None:
        raise credentials_exception
    return User(**user)


CurrentUser = Annotated[User, Depends(get_current_user)]


def require_roles(*roles: str):
    async def check(user: CurrentUser):
        if not set(roles) & set(user.roles):
            raise HTTPException(status.HTTP_403_FORBIDDEN, f"Required roles: {', '.join(roles)}")
        return user

    return check


def require_permissions(*permissions: str):
    async def check(user: CurrentUser):
        missing = [permission for permission in permissions if permission not in user.permissions]
        if missing:
            raise HTTPException(status.HTTP_403_FORBIDDEN, f"Missing permissions: {', '.join(missing)}")
        return user

    return check


async def get_api_key(
    header: Annotated[str | None, Security(api_key_header)],
    query: Annotated[str | None, Security(api_key_query)],
):
    key = header or query
    if not key:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "API key required")
    if key not in api_keys_db:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Invalid API key")
    return api_keys_db[key]


@app.post("/auth/token")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    user = authenticate_user(form.username, form.password)
    if user is None:
        raise HTTPException(
            status_code=status.HTTP_401_UNAUTHORIZED,
            detail="Incorrect username or password",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Token(access_token=create_access_token(user), token_type="bearer")


@app.get("/public")
async def public():
    return {"message": "welcome"}


@app.get("/users/me")
async def read_me(user: CurrentUser):
    return {"id": user.id}


@app.get("/data")
async def read_data(client: Annotated[str, Depends(get_api_key)]):
    return {"client": client}


@app.get("/moderation")
async def moderation(user: Annotated[User, Depends(require_roles("admin", "moderator"))]):
    return {"id": user.id}


@app.delete("/users/{user_id}")
async def delete_user(
    user_id: str,
    user: Annotated[User, Depends(require_permissions("delete:users", "write:users"))],
):
    return {"deleted": user_id, "by": user.id}


@app.get("/limited")
@limiter.limit("10/minute")
async def limited(request: Request):
    return {"message": "counted"}


if __name__ == "__main__":
    serve.asgi(app)
