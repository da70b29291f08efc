// A relying party made with npm's openid-client, for a test that signs somebody in
// from outside: by the code flow with a secret, or with private_jwk by the FAPI 2.0
// Security Profile. It reads one line of JSON {issuer, client_id, client_secret,
// private_jwk, redirect_uri}, prints the address to send the visitor to, reads the address that
// the visitor came back to, and prints what it learned as one line of JSON.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;
const o = JSON.parse(await read());

const fapi = Boolean(o.private_jwk);
const ES256 = { name: "ECDSA", namedCurve: "P-256" };
const auth = fapi
  ? client.PrivateKeyJwt({ key: await crypto.subtle.importKey("jwk", o.private_jwk, ES256, false, ["sign"]), kid: o.private_jwk.kid })
  : client.ClientSecretBasic(o.client_secret);
const config = await client.discovery(new URL(o.issuer), o.client_id, undefined, auth, {
  execute: [client.allowInsecureRequests], // the demo's issuer is http on localhost
});
const options = fapi ? { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) } : {};
const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
const request = {
  redirect_uri: o.redirect_uri, scope: "openid profile offline_access", state, nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
};
console.log((fapi ? await client.buildAuthorizationUrlWithPAR(config, request, options) : client.buildAuthorizationUrl(config, request)).href);

const back = new URL(await read());
const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }, undefined, options);
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub, options);
const again = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
let replay = "accepted";
try {
  await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce }, undefined, options);
} catch (e) {
  replay = e.error ?? String(e);
}
console.log(JSON.stringify({
  claims, userinfo, refreshed: again.access_token !== tokens.access_token, replay, type: tokens.token_type,
  rotated: again.refresh_token !== undefined && again.refresh_token !== tokens.refresh_token,
}));
process.exit(0);
