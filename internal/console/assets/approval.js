// Passkeys for approvals, on the officers' pages. The page says in its language what
// went wrong; the server decides everything.
"use strict";
(() => {
  const box = document.getElementById("passkey");
  if (!box || !window.PublicKeyCredential) return;
  const button = document.getElementById("passkey-go");
  const problem = document.getElementById("passkey-problem");
  box.hidden = false;

  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer || []))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const decode = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  const byName = { NotAllowedError: "cancelled", AbortError: "cancelled", TimeoutError: "cancelled", InvalidStateError: "duplicate",
    NotSupportedError: "unsupported", ConstraintError: "unsupported", SecurityError: "site" };

  const call = async (path, body) => {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    } catch {
      throw { say: "offline" };
    }
    if (answer.ok) return answer.json();
    const said = await answer.json().catch(() => ({})); // a part in front of the server may have answered
    throw { sentence: said.say, say: answer.status === 503 || answer.status === 429 ? "busy" : "failed" };
  };

  const approve = async () => {
    const o = await call(box.dataset.begin, {});
    if (o.challenge !== box.dataset.challenge) throw { say: "changed" };
    const found = await navigator.credentials.get({ publicKey: {
      challenge: decode(o.challenge), rpId: o.rp_id, timeout: o.timeout, userVerification: "required",
      allowCredentials: o.allow.map((id) => ({ type: "public-key", id: decode(id) })) } });
    return call(box.dataset.finish, { id: encode(found.rawId), client_data: encode(found.response.clientDataJSON),
      authenticator_data: encode(found.response.authenticatorData), signature: encode(found.response.signature),
      user_handle: encode(found.response.userHandle) });
  };

  const enrol = async () => {
    const code = document.getElementById("passkey-code");
    if (!code.value.trim()) {
      code.focus();
      throw { say: "missing" };
    }
    const o = await call(box.dataset.begin, { code: code.value });
    const made = await navigator.credentials.create({ publicKey: {
      challenge: decode(o.challenge), timeout: o.timeout, attestation: "none", rp: { id: o.rp_id, name: document.title.split(" - ").pop() },
      user: { id: decode(o.user_handle), name: o.username, displayName: o.display_name },
      pubKeyCredParams: o.algorithms.map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: o.exclude.map((id) => ({ type: "public-key", id: decode(id) })),
      authenticatorSelection: { residentKey: o.resident_key, requireResidentKey: false, userVerification: "required" } } });
    return call(box.dataset.finish, { code: code.value, id: encode(made.rawId), client_data: encode(made.response.clientDataJSON),
      attestation: encode(made.response.attestationObject), name: document.getElementById("passkey-name").value });
  };

  button.addEventListener("click", async () => {
    problem.textContent = "";
    button.disabled = true;
    try {
      const done = await (box.dataset.act === "approve" ? approve() : enrol());
      location.assign(done.next);
    } catch (e) {
      problem.textContent = e.sentence || box.dataset[e.say || byName[e.name]] || box.dataset.failed;
      button.disabled = false;
    }
  });
})();
