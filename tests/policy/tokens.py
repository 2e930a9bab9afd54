"""Makes the tokens of `cases.yaml` files, with nothing of ours: `python3 tokens.py` prints one for each line of the
table below. They are judged at 2030-01-01T00:00:00Z, which is 1893456000."""

import base64, hashlib, hmac, json, pathlib, subprocess

NOW = 1893456000
CORP = b"corp-secret-of-the-policy-tests-0123456789"
OTHER = b"other-secret-of-the-policy-tests-0123456789"
OWN = b"own-secret-of-the-policy-tests-0123456789ab"


def part(data):
    raw = data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def token(key, claims, header=None, alg="HS256", digest=hashlib.sha256):
    header = {"alg": alg, "typ": "JWT", **(header or {})}
    header = {k: v for k, v in header.items() if v is not None}
    signed = part(header) + b"." + part(claims)
    return (signed + b"." + part(hmac.new(key, signed, digest).digest())).decode()


CLAIMS = {"iss": "https://id.example.com/", "aud": "orders-api", "sub": "u1", "exp": NOW + 3600, "roles": ["user"]}


def corp(header=None, key=CORP, alg="HS256", **changes):
    claims = {**CLAIMS, **changes}
    return token(key, {k: v for k, v in claims.items() if v is not None}, header, alg)


TABLE = {
    "good": corp(),
    "admin": corp(roles=["admin"], sub="a1"),
    "expired": corp(exp=NOW - 30),
    "not_yet": corp(nbf=NOW + 60),
    "leeway": corp(exp=NOW - 29),
    "audience": corp(aud="another-api"),
    "audiences": corp(aud=["x", "orders-api"]),
    "issuer": corp(iss="https://evil.example.com/"),
    "no_slash": corp(iss="https://id.example.com"),
    "signature": corp(key=OTHER),
    "hs384": corp(alg="HS384"),
    "crit": corp({"crit": ["exp"]}),
    "b64": corp({"b64": False}),
    "cty": corp({"cty": "JWT"}),
    "typ": corp({"typ": "dpop+jwt"}),
    "at_jwt": corp({"typ": "application/at+JWT"}),
    "jwk": corp({"jwk": {"kty": "oct", "k": part(OTHER).decode()}}, OTHER),
    "jku": corp({"jku": "https://evil.example.com/keys"}, OTHER),
    "kid": corp({"kid": "../../dev/null"}),
    "no_exp": corp(exp=None),
    "no_sub": corp(sub=None),
    "exp_text": corp(exp=str(NOW + 3600)),
    "exp_null": token(CORP, {**CLAIMS, "exp": None}),
    "exp_huge": token(CORP, {**CLAIMS, "exp": 1e300}),
    "exp_negative": corp(exp=-1),
    "fraction": corp(exp=NOW + 0.5),
    "partner": token(OTHER, {"iss": "partner", "sub": "u1", "exp": NOW + 60, "roles": ["partner", "admin"], "permissions": "read:items delete:users"}),
    "own_alice": token(OWN, {"iss": "portcullis", "aud": "portcullis", "sub": "7", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "1", "roles": ["admin"]}),
    "own_mallory": token(OWN, {"iss": "portcullis", "aud": "portcullis", "sub": "mallory", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "1"}),
    "own_disabled": token(OWN, {"iss": "portcullis", "aud": "portcullis", "sub": "carol", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "1"}),
    "own_no_leeway": token(OWN, {"iss": "portcullis", "aud": "portcullis", "sub": "7", "exp": NOW}),
    "none": (part({"alg": "none"}) + b"." + part(CLAIMS) + b".").decode(),
    "None": (part({"alg": "None"}) + b"." + part(CLAIMS) + b".").decode(),
    "twice": None,
}
twice = part({"alg": "HS256"}) + b"." + part(b'{"iss":"https://id.example.com/","aud":"orders-api","sub":"u1","sub":"a1","exp":%d}' % (NOW + 60))
TABLE["twice"] = (twice + b"." + part(hmac.new(CORP, twice, hashlib.sha256).digest())).decode()

# The rest is for `terms/`: issuers that are told more than the usual.


def rs256(claims):
    signed = part({"alg": "RS256", "kid": "rsa", "typ": "JWT"}) + b"." + part(claims)
    key = pathlib.Path(__file__).parent.parent / "fixtures" / "keys" / "rsa.pem"
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=signed, capture_output=True, check=True)
    return (signed + b"." + part(signature.stdout)).decode()


NESTED = {
    "iss": "https://nested.example.com/",
    "aud": "orders-api",
    "exp": NOW + 60,
    "tenant": {"id": "acme"},
    "user": {"id": "n1", "tier": "pro"},
    "realm": {"roles": ["user", "editor"]},
    "scope": "read:items write:items",
}
MEMBER = {"iss": "https://members.example.com/", "aud": "orders-api", "sub": "7", "exp": NOW + 60, "roles": ["admin"]}
TABLE |= {
    "nested": token(CORP, NESTED, {"typ": "at+jwt"}),
    "nested_over": token(CORP, {**NESTED, "exp": NOW}, {"typ": "at+jwt"}),
    "nested_plain": token(CORP, NESTED),
    "nested_no_tenant": token(CORP, {**NESTED, "tenant": {}}, {"typ": "at+jwt"}),
    "member": token(CORP, MEMBER),
    "no_member": token(CORP, {**MEMBER, "sub": "8"}),
    "keyed": rs256({"iss": "https://keyed.example.com/", "aud": "orders-api", "sub": "k1", "exp": NOW + 60}),
    "shop": token(OWN, {"iss": "shop", "aud": "shoppers", "sub": "robot", "exp": NOW + 60, "roles": ["user"]}),
    "shop_elsewhere": token(OWN, {"iss": "shop", "aud": "portcullis", "sub": "robot", "exp": NOW + 60, "roles": ["user"]}),
}

if __name__ == "__main__":
    for name, text in TABLE.items():
        print(name, text)
