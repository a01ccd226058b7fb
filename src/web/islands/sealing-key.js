/**
 * Makes a sealing key on the page that has a slot for it: its file goes to the person's downloads, its public half into
 * the form. The private half is in the file and nowhere else. client/key-file.ts reads the file.
 */
export function sealingKey() {
  const slot = document.getElementById("sealing-key");
  const button = slot?.querySelector("button");
  if (!button || !window.crypto?.subtle) return;
  const said = document.createElement("p");
  said.setAttribute("role", "status");
  slot.append(said);
  slot.hidden = false;

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const make = async () => {
    const pair = await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"]);
    const { x, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", toBytes(x)));
    const hex = [...hash.slice(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return {
      what: "Sealing key of a tracking account. Whoever has this file can read what is sealed to it. Without it nobody can, for ever.",
      version: 1,
      publicKey: x,
      privateKey: d,
      check: `${hex.slice(0, 4)}-${hex.slice(4)}`,
      madeAt: new Date().toISOString(),
    };
  };
  const save = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const file = await make();
      const name = `sealing-${file.madeAt.slice(0, 10)}-${file.publicKey.slice(0, 4).replace(/[^\w]/g, "x")}.key`;
      save(name, `${JSON.stringify(file, null, 2)}\n`);
      // The check stays out of the form: who types it has opened the file.
      document.getElementById("f-publicKey").value = file.publicKey;
      said.className = "";
      said.textContent = `${slot.dataset.made} ${name}`;
    } catch {
      said.className = "error";
      said.textContent = slot.dataset.failed;
    }
    button.disabled = false;
  });
}
