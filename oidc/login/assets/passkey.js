// Passkeys on the pages /login and /account. The page says in its language what
// went wrong; the server decides everything.
"use strict";
(() => {
  const box = document.getElementById("passkey");
  if (!box || !window.PublicKeyCredential) return;
  const button = document.getElementById("passkey-go");
  const problem = document.getElementById("passkey-problem");
  const signingIn = box.dataset.act === "sign-in";
  box.hidden = false;

  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer || []))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const decode = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  // say shows the sentence that the page has for a failure.
  const say = (name) => { problem.textContent = name ? box.dataset[name] || box.dataset.failed : ""; };

  const byStatus = { 400: "refused", 403: signingIn ? "refused" : "signin", 409: "expired", 413: "refused", 429: "busy", 503: "busy" };
  const byName = { NotAllowedError: "cancelled", AbortError: "cancelled", TimeoutError: "cancelled", InvalidStateError: "duplicate",
    NotSupportedError: "unsupported", ConstraintError: "unsupported", SecurityError: "site" };

  const call = async (path, body) => {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    } catch {
      throw { say: "offline" };
    }
    if (!answer.ok) throw { say: byStatus[answer.status] || "failed" };
    return answer.json();
  };

  let waiting; // what ends the request that is under way
  let proving = false; // a passkey was shown: only one of two requests goes on to the server
  const stop = () => { if (waiting) waiting.abort(); waiting = new AbortController(); return waiting.signal; };

  const signIn = async (mediation) => {
    const signal = stop();
    const o = await call(box.dataset.begin, {});
    const found = await navigator.credentials.get({ mediation, signal, publicKey: {
      challenge: decode(o.challenge), rpId: o.rp_id, timeout: o.timeout, userVerification: "required", allowCredentials: [] } });
    if (proving) return;
    proving = true;
    try {
      const done = await call(box.dataset.finish, { id: encode(found.rawId), client_data: encode(found.response.clientDataJSON),
        authenticator_data: encode(found.response.authenticatorData), signature: encode(found.response.signature),
        user_handle: encode(found.response.userHandle), next: box.dataset.next,
        acr: box.dataset.acr || "", again: box.dataset.again === "1" });
      location.assign(done.next);
    } catch (e) {
      proving = false;
      throw e;
    }
  };

  const enrol = async () => {
    const signal = stop();
    const o = await call(box.dataset.begin, {});
    const made = await navigator.credentials.create({ signal, publicKey: {
      challenge: decode(o.challenge), timeout: o.timeout, attestation: "none", rp: { id: o.rp_id, name: document.title.split(" - ").pop() },
      user: { id: decode(o.user_handle), name: o.username, displayName: o.display_name },
      pubKeyCredParams: o.algorithms.map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: (o.exclude || []).map((id) => ({ type: "public-key", id: decode(id) })),
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" } } });
    const done = await call(box.dataset.finish, { id: encode(made.rawId), client_data: encode(made.response.clientDataJSON),
      attestation: encode(made.response.attestationObject), name: document.getElementById("passkey-name").value });
    location.assign(done.next);
  };

  button.addEventListener("click", async () => {
    if (proving) return;
    say("");
    button.disabled = true;
    try {
      await (signingIn ? signIn("optional") : enrol());
    } catch (e) {
      say(e.say || byName[e.name] || "failed");
      button.disabled = false;
      if (signingIn) offer();
    }
  });

  // offer puts passkeys among what the browser fills in for the username. A
  // challenge lives five minutes, so it is made anew before.
  let timer;
  const offer = async () => {
    clearTimeout(timer);
    if (!PublicKeyCredential.isConditionalMediationAvailable || !(await PublicKeyCredential.isConditionalMediationAvailable())) return;
    timer = setTimeout(() => { if (!button.disabled) offer(); }, 4 * 60 * 1000);
    try {
      await signIn("conditional");
    } catch (e) {
      if (e.name !== "AbortError" && e.say && e.say !== "offline") say(e.say);
    }
  };
  if (signingIn) offer();
})();
