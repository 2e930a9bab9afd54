"""Tokens by another hand: reads one JSON object from standard input and prints one.

{"claims": {…}, "key": "…", "algorithm": "HS256", "headers": {…}}       prints {"token": "…"}
{"token": "…", "key": "…", "algorithms": ["HS256"], "audience": "…", "issuer": "…"}   prints {"claims": {…}, "headers": {…}}
                                                                         or {"error": "…"}
{"token": "…", "kid": true}                                              prints {"headers": {…}}
"""

import json
import sys

import jwt


def main():
    asked = json.load(sys.stdin)
    if "claims" in asked:
        token = jwt.encode(asked["claims"], asked["key"], asked.get("algorithm", "HS256"), asked.get("headers"))
        return {"token": token}
    if asked.get("kid"):
        return {"headers": jwt.get_unverified_header(asked["token"])}
    try:
        claims = jwt.decode(
            asked["token"],
            asked["key"],
            algorithms=asked["algorithms"],
            audience=asked.get("audience"),
            issuer=asked.get("issuer"),
        )
    except jwt.InvalidTokenError as error:
        return {"error": type(error).__name__}
    return {"claims": claims, "headers": jwt.get_unverified_header(asked["token"])}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
