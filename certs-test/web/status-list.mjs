// Reads a Status List Token as a wallet's library does: {token, keys} on stdin, and on
// stdout every index whose status is not 0. It fails when the signature is not good.
import { createLocalJWKSet, jwtVerify } from "jose";
import { getListFromStatusListJWT, StatusList } from "@sd-jwt/jwt-status-list";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { token, keys } = JSON.parse(text);
await jwtVerify(token, createLocalJWKSet(keys), { typ: "statuslist+jwt", algorithms: ["ES256"], currentDate: new Date("2026-03-01T09:00:00Z") });
const list = getListFromStatusListJWT(token);
if (!(list instanceof StatusList) || list.getBitsPerStatus() !== 2 || list.statusList.length !== 1 << 20) throw new Error("another list");
const found = {};
for (let i = 0; i < list.statusList.length; i++) if (list.getStatus(i) !== 0) found[i] = list.getStatus(i);
process.stdout.write(JSON.stringify(found));
