// A relying party made with npm's openid-client, for a test that signs somebody in
// from outside. It reads one line of JSON {issuer, client_id, client_secret,
// redirect_uri}, prints the address to send the visitor to, reads the address that
// the visitor came back to, and prints what it learned as one line of JSON.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;
const o = JSON.parse(await read());

const config = await client.discovery(new URL(o.issuer), o.client_id, undefined, client.ClientSecretBasic(o.client_secret), {
  execute: [client.allowInsecureRequests], // the demo's issuer is http on localhost
});
const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
console.log(client.buildAuthorizationUrl(config, {
  redirect_uri: o.redirect_uri, scope: "openid profile offline_access", state, nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
}).href);

const back = new URL(await read());
const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const again = await client.refreshTokenGrant(config, tokens.refresh_token);
let replay = "accepted";
try {
  await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
} catch (e) {
  replay = e.error ?? String(e);
}
console.log(JSON.stringify({ claims, userinfo, refreshed: again.access_token !== tokens.access_token, replay }));
process.exit(0);
