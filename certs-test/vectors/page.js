// Runs in the page, on the page's own core: (core, asked) => answers.
async (coreURL, casesURL) => {
  const core = await import(coreURL);
  const { bases, questions } = await (await fetch(casesURL)).json();
  const bytes = (s) => Uint8Array.from(atob(s ?? ""), (c) => c.charCodeAt(0));
  const hex = core.hex;
  const outcome = async (f) => {
    try {
      return { outcome: "valid", value: await f() };
    } catch (e) {
      if (!(e instanceof core.Refusal)) return { outcome: "threw " + e };
      return { outcome: e.fault };
    }
  };

  const loaded = new Map();
  async function load(b, bundle, status, now) {
    const basis = { trust: null, status: null, genuine: b.genuine ? [await core.parseGenuine(bytes(b.genuine))] : [] };
    try {
      if (bundle.length > 0) basis.trust = await core.loadTrust(new core.PublicKey(bytes(b.pin)), bundle, now);
    } catch (e) {
      if (!(e instanceof core.Refusal)) throw e;
      basis.trustFault = e;
    }
    try {
      if (basis.trust && status.length > 0) basis.status = await core.loadStatus(basis.trust, status);
    } catch (e) {
      if (!(e instanceof core.Refusal)) throw e;
      basis.statusFault = e;
    }
    return basis;
  }
  async function basisOf(name, now) {
    const key = name + " " + now;
    if (!loaded.has(key)) loaded.set(key, await load(bases[name], bytes(bases[name].bundle), bytes(bases[name].status), now));
    return loaded.get(key);
  }

  async function snapshotValue(q, s) {
    let verified = false;
    try {
      verified = q.alg === s.alg && (await core.verifySnapshot(s, new core.PublicKey(bytes(q.spki))));
    } catch (e) {
      if (!(e instanceof core.Refusal)) throw e;
    }
    return { verified, kid: hex(s.kid), alg: s.alg, seq: String(s.seq), iat: s.issuedAt, exp: s.expires, hash: hex(s.hash), lists: s.lists.map((l) => [l.no, [...l.revoked], [...l.suspended]]) };
  }
  const signers = (list) => list.map((s) => [hex(s.kid), s.key.alg, hex(s.key.spki), s.from, s.until]);
  const rootValue = (r) => ({ version: r.version, iat: r.issuedAt, exp: r.expires, bundle: signers(r.bundle), status: signers(r.status), log: signers(r.log), next: r.next ? hex(r.next.spki) : "" });
  const names = (n) => [n.zh, n.en];
  const bundleValue = (b) => ({
    seq: b.seq, iat: b.issuedAt, exp: b.expires, previous: b.previous ? hex(b.previous) : "",
    agencies: b.agencies.map((a) => [a.id, a.uscc, ...names(a.names), a.level, a.parent, a.area, a.successor]),
    keys: b.keys.map((k) => [hex(k.kid), k.key.alg, hex(k.key.spki), hex(k.certHash), k.agency, k.signFrom, k.signUntil, k.verifyUntil, k.state, k.compromisedAt, k.genuine ? hex(k.genuine) : ""]),
    authority: b.authority.map((a) => [a.agency, a.type, a.area, a.from, a.until]),
    types: b.types.map((t) => [t.code, t.id, ...names(t.names), t.holderKind, t.fields.map((f) => [f.no, f.name, ...names(f.names), f.list]), t.lists.map((l) => [l.id, l.codes.map((c) => [c.code, c.value, ...names(c.names)])]), t.dictionary ? hex(t.dictionary) : "", t.maxStatusAge, t.reissue]),
    lists: b.lists.map((l) => [l.no, l.uri]),
    root: hex(b.root),
  });

  const ask = {
    async file(q) {
      const now = q.now;
      const read = core.readFile(bytes(q.bytes));
      const basis = await basisOf(q.basis, now);
      if (typeof read === "string") return core.check(read, basis, now);
      const reason = read.unread ?? "picture";
      const as_of = basis.status ? new Date(basis.status.issuedAt * 1000).toISOString().replace(".000Z", "Z") : null;
      return { file: "", verdict: reason === "over_a_bound" ? "too_large" : "undetermined", reason, as_of, issuer: "", type: "", number: "", fields: [] };
    },
    async text(q) {
      return core.check(bytes(q.bytes), await basisOf(q.basis, q.now), q.now);
    },
    async bundle(q) {
      const b = bases[q.basis];
      return core.check(b.permit, await load(b, bytes(q.bytes), bytes(b.status), q.now), q.now);
    },
    async status(q) {
      const b = bases[q.basis];
      return core.check(b.permit, await load(b, bytes(b.bundle), bytes(q.bytes), q.now), q.now);
    },
    permit: (q) =>
      outcome(async () => {
        const d = bytes(q.dictionary);
        const p = core.parsePermit(bytes(q.bytes), (id) => (d.length > 0 && core.adler32(d) === id ? d : undefined));
        let verified = false;
        try {
          verified = q.alg === p.alg && (await core.verifyPermit(p, new core.PublicKey(bytes(q.spki))));
        } catch (e) {
          if (!(e instanceof core.Refusal)) throw e;
        }
        const fields = {};
        for (const [no, v] of p.fields) fields[no] = v;
        return { verified, kid: hex(p.kid), alg: p.alg, cti: hex(p.id), iat: p.issuedAt, nbf: p.notBefore, exp: p.expires, status: [p.status.list, p.status.index], cnf: p.confirmation ? hex(p.confirmation) : "", type: p.type, number: p.number, name: p.holderName, holder: p.holderID, fields, hash: hex(await core.signedHash(p)) };
      }),
    snapshot: (q) => outcome(async () => snapshotValue(q, await core.parseSnapshot(bytes(q.bytes)))),
    delta: (q) =>
      outcome(async () => {
        const base = await core.parseSnapshot(bytes(q.from));
        const d = core.parseDelta(bytes(q.bytes));
        let verified = false;
        try {
          verified = q.alg === d.alg && (await core.verifyDelta(d, new core.PublicKey(bytes(q.spki))));
        } catch (e) {
          if (!(e instanceof core.Refusal)) throw e;
        }
        if (!verified) return { verified };
        const { snapshot, file } = await core.applyDelta(d, base);
        const again = await core.parseSnapshot(file);
        const value = await snapshotValue(q, snapshot);
        if (JSON.stringify(value) !== JSON.stringify(await snapshotValue(q, again))) throw new Error("the file says something else");
        return value;
      }),
    root: (q) => outcome(async () => rootValue(await core.openRoot(bytes(q.bytes), new core.PublicKey(bytes(q.spki)), q.now))),
    trust: (q) =>
      outcome(async () => {
        const { bundle, root } = await core.openBundle(bytes(q.bytes), new core.PublicKey(bytes(q.spki)), q.now);
        return { bundle: bundleValue(bundle), root: rootValue(root) };
      }),
    head: (q) =>
      outcome(async () => {
        const root = await core.openRoot(bytes(q.root), new core.PublicKey(bytes(q.spki)), q.now);
        const h = await core.openHead(bytes(q.bytes), root, q.now);
        return { bundle: [h.bundleSeq, hex(h.bundleHash)], snapshot: [h.snapshotSeq, hex(h.snapshotHash)], checkpoint: h.checkpoint ? hex(h.checkpoint) : "", iat: h.issuedAt, exp: h.expires };
      }),
  };

  const answers = [];
  for (const q of questions) {
    let a;
    try {
      a = await ask[q.ask](q);
    } catch (e) {
      a = { threw: String(e) };
    }
    answers.push(JSON.stringify(a));
  }
  return answers;
}
