"""Makes tokens, good ones and ones that are wrong in every way that comes to mind, and says what PyJWT makes of each.

{"now": …, "secret": "…", "issuer": "…", "audience": "…", "leeway": …, "count": …} prints
[{"token": "…", "subject": "…" or null, "error": null or "…"}, …]; the same question, the same answer.
"""

import base64
import datetime
import hashlib
import hmac
import json
import random
import sys

import jwt
import jwt.api_jwt

DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encoded(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(chance, asked):
    now, secret = asked["now"], asked["secret"].encode()
    claims = {"iss": asked["issuer"], "aud": asked["audience"], "sub": f"s{chance.randrange(100)}", "exp": now + 600}
    header = {"alg": "HS256", "typ": "JWT"}
    near = [-100000, -31, -30, -29, -1, 0, 1, 29, 30, 31, 100000]
    changes = [
        lambda: claims.update(exp=now + chance.choice(near)),
        lambda: claims.update(nbf=now + chance.choice(near)),
        lambda: claims.update(exp=chance.choice(["soon", "", None, True, [], {}, -1, 0, 0.5, now + 0.5, 1e300, -1e300])),
        lambda: claims.update(nbf=chance.choice(["soon", "", None, True, [], {}, -1, 0, now - 0.5, 1e300])),
        lambda: claims.update(aud=chance.choice(["other", "", [], ["x", asked["audience"]], ["x", "y"], None, 7, [7], {}, asked["audience"] + "/"])),
        lambda: claims.update(iss=chance.choice(["other", "", None, 7, [asked["issuer"]], asked["issuer"] + "/", asked["issuer"].upper()])),
        lambda: claims.update(sub=chance.choice(["", None, 7, [], {}, "\u0000", "Zoë", "a b", "x" * 300])),
        lambda: claims.pop(chance.choice(list(claims)), None),
        lambda: header.update(alg=chance.choice(["none", "None", "NONE", "", "HS384", "HS512", "RS256", "hs256", None, 7])),
        lambda: header.update(typ=chance.choice(["JWT", "jwt", "at+jwt", "JOSE", "", None, 7, "secevent+jwt"])),
        lambda: header.update(kid=chance.choice(["a", "../../dev/null", "", 7, None, "'; --", "x" * 300])),
        lambda: header.update(crit=chance.choice([["exp"], ["b64"], [], "exp", None])),
        lambda: header.update(chance.choice([{"jwk": {"kty": "oct", "k": "AAAA"}}, {"jku": "https://x.example/"}, {"b64": False}, {"cty": "JWT"}])),
    ]
    for change in chance.sample(changes, chance.choice([0, 1, 1, 1, 2, 2, 3])):
        change()
    key = chance.choice([secret] * 8 + [secret[:-1], b"", secret + b"\n"])
    digest = DIGESTS.get(header.get("alg") if chance.random() < 0.8 else "HS256", hashlib.sha256)
    signed = f"{encoded(header)}.{encoded(claims)}"
    signature = encoded(hmac.new(key, signed.encode(), digest).digest())
    token = f"{signed}.{signature}"
    spoiled = [
        lambda: token[:-1],
        lambda: token + "=",
        lambda: token + "A",
        lambda: signed + ".",
        lambda: signed,
        lambda: token + ".",
        lambda: token + "." + signature,
        lambda: "." + token,
        lambda: token.replace(".", "..", 1),
        lambda: encoded([]) + token[token.index(".") :],
        lambda: encoded(b"\xff") + token[token.index(".") :],
        lambda: signed + "." + signature[:10] + ("B" if signature[10] != "B" else "C") + signature[11:],
    ]
    return chance.choice(spoiled)() if chance.random() < 0.15 else token


class Clock(datetime.datetime):
    moment = 0

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(cls.moment, tz)


def judged(token, asked):
    try:
        claims = jwt.decode(
            token,
            asked["secret"],
            algorithms=["HS256"],
            audience=asked["audience"],
            issuer=asked["issuer"],
            leeway=asked["leeway"],
            options={"require": ["exp", "sub"]},
        )
    except (jwt.InvalidTokenError, OverflowError, TypeError, ValueError) as error:
        return {"token": token, "subject": None, "error": type(error).__name__}
    return {"token": token, "subject": claims["sub"], "error": None}


def main():
    asked = json.load(sys.stdin)
    Clock.moment = asked["now"]
    jwt.api_jwt.datetime = Clock
    chance = random.Random(7515)
    return [judged(made(chance, asked), asked) for _ in range(asked["count"])]


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
