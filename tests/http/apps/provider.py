"""An OAuth provider by Authlib: it issues opaque tokens to API clients, is asked about them, and takes them back."""

import os
import time

import serve

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask

TOKENS = {}


class Client(ClientMixin):
    def __init__(self, name, secret):
        self.name, self.secret = name, secret

    def get_client_id(self):
        return self.name

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope

    def check_client_secret(self, secret):
        return secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


CLIENTS = {client.name: client for client in [Client("gw", "gateway-secret"), Client("shop", "shop-secret")]}


class Token(TokenMixin):
    def __init__(self, client, issued):
        self.client, self.issued, self.at, self.revoked = client, issued, int(time.time()), False

    def check_client(self, client):
        return client is self.client

    def get_scope(self):
        return self.issued.get("scope")

    def get_expires_in(self):
        return self.issued["expires_in"]

    def is_expired(self):
        return time.time() >= self.at + self.issued["expires_in"]

    def is_revoked(self):
        return self.revoked


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token, hint):
        return TOKENS.get(token)

    def check_permission(self, token, client, request):
        return client.name == "gw"

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client.name,
            "token_type": "Bearer",
            "scope": token.get_scope(),
            "sub": token.client.name,
            "iat": token.at,
            "exp": token.at + token.get_expires_in(),
        }


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token, hint):
        return TOKENS.get(token)

    def revoke_token(self, token, request):
        token.revoked = True


def save(token, request):
    TOKENS[token["access_token"]] = Token(request.client, token)


app = Flask(__name__)
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save)
server.register_grant(grants.ClientCredentialsGrant)
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response(Revocation.ENDPOINT_NAME)


if __name__ == "__main__":
    serve.wsgi(app)
