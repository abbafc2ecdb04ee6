// Solves a proof of work (ALTCHA, version 2: SHA-256 with one round) and sends the form. Without it, the button does.
(() => {
  const form = document.getElementById("challenge");
  if (!form || !window.crypto || !crypto.subtle) return;
  const button = form.querySelector("button"), status = form.querySelector("[role=status]");
  const challenge = JSON.parse(form.dataset.challenge);
  const { nonce, salt, keyPrefix } = challenge.parameters;
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
  const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const start = [...bytes(salt), ...bytes(nonce)];
  const input = new Uint8Array(start.length + 4), view = new DataView(input.buffer);
  input.set(start);
  const MAX = 100000;

  async function solve() {
    for (let counter = 0; counter < MAX; counter += 1) {
      view.setUint32(start.length, counter);
      const derivedKey = hex(await crypto.subtle.digest("SHA-256", input));
      if (derivedKey.startsWith(keyPrefix)) return { counter, derivedKey };
    }
    return null;
  }

  button.hidden = true;
  status.textContent = status.dataset.working;
  solve().then((solution) => {
    if (!solution) throw new Error("no solution");
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "challenge";
    field.value = btoa(JSON.stringify({ challenge, solution }));
    form.append(field);
    form.submit();
  }).catch(() => { button.hidden = false; });
})();
