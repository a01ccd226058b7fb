/** Passkeys on the pages that have a slot for them. Texts come with the slot; without a script the slots stay hidden. */
export function passkey() {
  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=/g, "");

  const post = async (path, body) => {
    const init = { method: "POST", headers: {}, credentials: "same-origin" };
    if (body !== undefined) {
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    const response = await fetch(path, init);
    const answer = response.status === 204 ? null : await response.json();
    if (!response.ok) throw answer;
    return answer;
  };
  const withBytes = (list) => list.map((each) => ({ ...each, id: toBytes(each.id) }));

  const make = async (options) => {
    const { response } = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        user: { ...options.user, id: toBytes(options.user.id) },
        excludeCredentials: withBytes(options.excludeCredentials),
      },
    });
    return {
      clientDataJSON: toText(response.clientDataJSON),
      authenticatorData: toText(response.getAuthenticatorData()),
      publicKey: toText(response.getPublicKey()),
      algorithm: response.getPublicKeyAlgorithm(),
    };
  };
  const sign = async (options) => {
    const credential = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        allowCredentials: withBytes(options.allowCredentials),
      },
    });
    const { response } = credential;
    return {
      id: credential.id,
      clientDataJSON: toText(response.clientDataJSON),
      authenticatorData: toText(response.authenticatorData),
      signature: toText(response.signature),
      userHandle: response.userHandle ? toText(response.userHandle) : null,
    };
  };

  const slots = {
    "passkey-add": async () => post("/v1/me/passkeys", await make(await post("/v1/me/passkeys/options"))),
    "passkey-sign-in": async () => post("/v1/sessions/passkey", await sign(await post("/v1/sessions/passkey/options"))),
    "passkey-prove": async () => post("/v1/me/proof", { passkey: await sign(await post("/v1/me/proof/options")) }),
  };
  if (!window.PublicKeyCredential) return;
  for (const [id, act] of Object.entries(slots)) {
    const slot = document.getElementById(id);
    const button = slot?.querySelector("button");
    if (!button) continue;
    const said = document.createElement("p");
    said.setAttribute("role", "alert");
    said.className = "error";
    slot.append(said);
    slot.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "";
      try {
        await act();
        location.assign(slot.dataset.next || "/");
      } catch (problem) {
        if (problem?.code === "step_up_required") return location.assign(`/prove?next=${location.pathname}`);
        if (problem?.code === "unauthenticated") return location.assign("/login");
        // What the browser says of a ceremony that was called off tells nobody anything: the page has its own words.
        said.textContent = slot.dataset.failed || problem?.detail || "";
      }
      button.disabled = false;
    });
  }
}
