"""A client of the token endpoint, with the library that Python people use: logs in, calls, refreshes, takes its login back, and
asks for a token with an API key. Reads {"issuer", "api", "username", "password", "key_id", "key"} and prints what came of it.
"""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the tests are on loopback

from authlib.integrations.base_client.errors import OAuthError  # noqa: E402
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402


def main():
    asked = json.load(sys.stdin)
    found = OAuth2Session().get(asked["issuer"] + "/.well-known/oauth-authorization-server", withhold_token=True).json()
    updates = []
    session = OAuth2Session(
        "web",
        token_endpoint_auth_method="none",
        token_endpoint=found["token_endpoint"],
        revocation_endpoint_auth_method="none",
        update_token=lambda token, refresh_token=None, access_token=None: updates.append(token),
    )
    told = {}
    try:
        session.fetch_token(found["token_endpoint"], username=asked["username"], password="guessed")
    except OAuthError as error:
        told["wrong"] = error.error
    first = dict(session.fetch_token(found["token_endpoint"], username=asked["username"], password=asked["password"]))
    told["first"] = session.get(asked["api"]).json()["headers"]["x-user-id"]
    # A token that is over is refreshed by the library itself, in the middle of a call.
    session.token = {**session.token, "expires_at": 1}
    told["refreshed"] = session.get(asked["api"]).json()["headers"]["x-user-id"]
    told["renewed"] = len(updates) == 1 and updates[0]["refresh_token"] != first["refresh_token"]
    second = dict(session.token)
    told["revoked"] = session.revoke_token(
        found["revocation_endpoint"], second["refresh_token"], token_type_hint="refresh_token"
    ).status_code
    told["after"] = session.get(asked["api"]).status_code
    try:
        session.refresh_token(found["token_endpoint"], second["refresh_token"])
    except OAuthError as error:
        told["again"] = error.error
    robot = OAuth2Session(asked["key_id"], asked["key"])
    told["scope"] = robot.fetch_token(found["token_endpoint"], grant_type="client_credentials", scope="read:items")["scope"]
    told["robot"] = robot.get(asked["api"]).json()["headers"]["x-user-id"]
    return told


print(json.dumps(main()))
