import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as core from "./index.ts";

// Every vector of docs/spec/vectors. certs-test/vectors does the same in a browser,
// with mutants.

const root = join(process.cwd(), "../../docs/spec/vectors");

interface Vector {
  name: string;
  head: Record<string, string>;
  body: Uint8Array;
}

function* vectors(dir: string): Generator<Vector> {
  for (const name of readdirSync(join(root, dir)).filter((n) => n.endsWith(".txt")).sort()) {
    const file = readFileSync(join(root, dir, name));
    const end = file.indexOf("\n\n");
    const head: Record<string, string> = {};
    for (const line of file.subarray(0, end).toString().split("\n")) {
      const colon = line.indexOf(":");
      head[line.slice(0, colon)] = line.slice(colon + 1).trim();
    }
    yield { name: name.replace(".txt", ""), head, body: new Uint8Array(file.subarray(end + 2)) };
  }
}

const base64 = (s: string): core.Bytes => new Uint8Array(Buffer.from(s, "base64"));
const outcome = async (f: () => Promise<unknown>): Promise<string> => {
  try {
    await f();
    return "valid";
  } catch (e) {
    if (!(e instanceof core.Refusal)) throw e;
    return e.fault;
  }
};

test("el1", async (t) => {
  for (const v of vectors("el1")) {
    await t.test(v.name, async () => {
      const dictionary = v.head["dictionary"] ? base64(v.head["dictionary"]) : undefined;
      const got = await outcome(async () => {
        const p = core.parsePermit(v.body, (id) => (dictionary && core.adler32(dictionary) === id ? dictionary : undefined));
        const key = new core.PublicKey(base64(v.head["spki"]!));
        if (Number(v.head["alg"]) !== p.alg || !(await core.verifyPermit(p, key))) throw new core.Refusal("bad_signature", "");
        assert.equal(core.hex(await core.signedHash(p)), v.head["sig-structure-hash"]);
      });
      assert.equal(got, v.head["expect"]);
    });
  }
});

test("elr1", async (t) => {
  for (const v of vectors("elr1")) {
    await t.test(v.name, async () => {
      const got = await outcome(async () => {
        const s = await core.parseSnapshot(new Uint8Array(Buffer.from(Buffer.from(v.body).toString().trim(), "hex")));
        const key = new core.PublicKey(base64(v.head["spki"]!));
        if (Number(v.head["alg"]) !== s.alg || !(await core.verifySnapshot(s, key))) throw new core.Refusal("bad_signature", "");
        const lists = s.lists.map((l) => ({ no: l.no, revoked: [...l.revoked], suspended: [...l.suspended] }));
        const content = JSON.parse(v.head["content"]!);
        if (content.lists) {
          const plain = content.lists.map((l: { no: number; revoked?: number[]; suspended?: number[] }) => ({ no: l.no, revoked: l.revoked ?? [], suspended: l.suspended ?? [] }));
          assert.deepEqual(lists, plain);
        }
        assert.equal(Number(s.seq), content.seq);
      });
      assert.equal(got, v.head["expect"]);
    });
  }
});

test("elr1-delta", async (t) => {
  const bytes = (hex: string): core.Bytes => new Uint8Array(Buffer.from(hex.trim(), "hex"));
  for (const v of vectors("elr1-delta")) {
    await t.test(v.name, async () => {
      const got = await outcome(async () => {
        const base = await core.parseSnapshot(bytes(v.head["base"]!));
        const d = core.parseDelta(bytes(Buffer.from(v.body).toString()));
        const key = new core.PublicKey(base64(v.head["spki"]!));
        if (Number(v.head["alg"]) !== d.alg || !(await core.verifyDelta(d, key))) throw new core.Refusal("bad_signature", "");
        const { snapshot, file } = await core.applyDelta(d, base);
        assert.equal(core.hex(snapshot.hash), v.head["result"]);
        assert.deepEqual(await core.parseSnapshot(file), snapshot);
      });
      assert.equal(got, v.head["expect"]);
    });
  }
});

test("trust", async (t) => {
  for (const v of vectors("trust")) {
    await t.test(v.name, async () => {
      const pin = new core.PublicKey(base64(v.head["pin"]!));
      const now = Number(v.head["now"]);
      const body = base64(Buffer.from(v.body).toString());
      const got = await outcome(async () => {
        if (v.head["kind"] === "root") return core.openRoot(body, pin, now);
        if (v.head["kind"] === "bundle") return core.openBundle(body, pin, now);
        return core.openHead(body, await core.openRoot(base64(v.head["root"]!), pin, now), now);
      });
      assert.equal(got, v.head["expect"]);
    });
  }
});

test("verdict", async (t) => {
  const file = (name: string): core.Bytes => new Uint8Array(readFileSync(join(root, "verdict", name)));
  for (const v of vectors("verdict")) {
    await t.test(v.name, async () => {
      const now = Math.floor(Date.parse(v.head["at"]!) / 1000);
      const pem = Buffer.from(file(v.head["root"]!)).toString();
      const pin = core.certificateKey(base64(pem.replace(/-----[^-]*-----/g, "")));
      const basis: core.Basis = { trust: null, status: null };
      try {
        if (v.head["trust"]) basis.trust = await core.loadTrust(pin, file(v.head["trust"]), now);
      } catch (e) {
        basis.trustFault = e as core.Refusal;
      }
      try {
        if (v.head["status"] && basis.trust) basis.status = await core.loadStatus(basis.trust, file(v.head["status"]));
      } catch (e) {
        basis.statusFault = e as core.Refusal;
      }
      if (v.head["genuine"]) basis.genuine = [await core.parseGenuine(file(v.head["genuine"]))];
      assert.deepEqual(await core.check(v.body, basis, now), JSON.parse(v.head["result"]!));
    });
  }
});
