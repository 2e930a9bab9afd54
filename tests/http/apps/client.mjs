// The same as client.py, with the library that Node people use.
import { readFileSync } from 'node:fs';
import * as oauth from 'openid-client';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const api = new URL(asked.api);
// The tests are on loopback.
const found = { algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] };
const web = await oauth.discovery(new URL(asked.issuer), 'web', undefined, oauth.None(), found);

async function call(config, token) {
  const answer = await oauth.fetchProtectedResource(config, token, api, 'GET');
  return (await answer.json()).headers['x-user-id'];
}

async function error(attempt) {
  try {
    await attempt;
    return 'none';
  } catch (error) {
    return error.error ?? error.cause?.status ?? error.status ?? String(error);
  }
}

const login = (password) => oauth.genericGrantRequest(web, 'password', { username: asked.username, password });
const told = {};
told.wrong = await error(login('guessed'));
const first = await login(asked.password);
told.first = await call(web, first.access_token);
const second = await oauth.refreshTokenGrant(web, first.refresh_token);
told.refreshed = await call(web, second.access_token);
told.renewed = second.refresh_token !== first.refresh_token;
await oauth.tokenRevocation(web, second.refresh_token, { token_type_hint: 'refresh_token' });
told.revoked = 200;
told.after = await error(call(web, second.access_token));
told.again = await error(oauth.refreshTokenGrant(web, second.refresh_token));
const secret = oauth.ClientSecretBasic(asked.key);
const robot = await oauth.discovery(new URL(asked.issuer), asked.key_id, undefined, secret, found);
const token = await oauth.clientCredentialsGrant(robot, { scope: 'read:items' });
told.scope = token.scope;
told.robot = await call(robot, token.access_token);
console.log(JSON.stringify(told));
