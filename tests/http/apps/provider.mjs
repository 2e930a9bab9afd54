// A certified OpenID provider on a free port, and ways to make it change its keys or answer badly.
//
// POST /token with client_credentials gives JWT access tokens for the resource `urn:orders`, and opaque ones for `urn:opaque`. POST /control/MODE says how its
// metadata and its keys are answered from then on: `well`, `garbage`, `refusing` (503), `foreign` (the metadata of another
// issuer), or `never` (not until the mode is another). POST /control/rotate makes a new key, which signs from then on, beside the
// old one; /control/forget leaves the new one alone. GET /control tells what was asked for and who still waits.
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const DESCRIBES = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/jwks'];

let issuer;
let keys = [];
let provider;
let mode = 'well';
let waiting = [];
const asked = {};

async function sign() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = `key-${Math.random().toString(36).slice(2)}`;
  keys.unshift({ ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' });
}

function serve() {
  provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'robot',
        client_secret: 'the-secret-of-the-robot',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
      {
        client_id: 'gateway',
        client_secret: 'the-secret-of-the-gateway: a+b',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:orders',
        getResourceServerInfo: (_, resource) => ({
          scope: 'read:items write:items',
          audience: 'orders',
          accessTokenTTL: 600,
          ...(resource === 'urn:opaque'
            ? { accessTokenFormat: 'opaque' }
            : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
        }),
      },
    },
    extraTokenClaims: () => ({ realm_access: { roles: ['user'] } }),
    cookies: { keys: ['of no use here'] },
    ttl: { ClientCredentials: 600 },
  });
}

function answer(response, status, body, type = 'application/json') {
  response.writeHead(status, { 'Content-Type': type });
  response.end(body);
}

async function control(request, response) {
  const what = request.url.slice('/control'.length).replace(/^\//, '');
  if (what === 'rotate') {
    await sign();
    serve();
  } else if (what === 'forget') {
    keys = keys.slice(0, 1);
    serve();
  } else if (what !== '') {
    mode = what;
    const held = waiting;
    waiting = [];
    if (mode !== 'never') held.forEach((resume) => resume());
  }
  answer(response, 200, JSON.stringify({ asked, waiting: waiting.length, kids: keys.map((key) => key.kid) }));
}

async function describe(request, response) {
  asked[request.url] = (asked[request.url] ?? 0) + 1;
  if (mode === 'never') await new Promise((resume) => waiting.push(resume));
  switch (mode) {
    case 'garbage':
      return answer(response, 200, '<!doctype html><title>Sign in</title>', 'text/html');
    case 'refusing':
      return answer(response, 503, '');
    case 'foreign':
      if (request.url !== '/jwks') {
        return answer(response, 200, JSON.stringify({ issuer: `${issuer}/other`, jwks_uri: `${issuer}/jwks` }));
      }
  }
  provider.callback()(request, response);
}

const server = createServer((request, response) => {
  if (request.url.startsWith('/control')) return control(request, response);
  if (DESCRIBES.includes(request.url)) return describe(request, response);
  provider.callback()(request, response);
});
server.listen(0, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  await sign();
  serve();
  console.log(`listening 127.0.0.1:${server.address().port}`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
