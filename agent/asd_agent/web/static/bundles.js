// Sends a bundle's file in pieces, then asks for its installation.
const PIECE = 45000; // bytes; the gateway takes no longer ones
const form = document.getElementById("upload");
const headers = { "X-Asd": "1" };

async function post(url, body) {
  const answer = await fetch(url, { method: "POST", headers, body });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error((await answer.text()) || form.dataset.failed);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = document.getElementById("b-file").files[0];
  const button = document.getElementById("b-install");
  const wrong = form.querySelector(".form-error");
  const sending = document.getElementById("sending");
  const sent = document.getElementById("b-sent");
  wrong.hidden = true;
  button.disabled = true;
  sending.hidden = false;
  try {
    for (let at = 0; at < file.size; at += PIECE) {
      sent.value = at / file.size;
      await post(`${form.dataset.piece}?offset=${at}`, file.slice(at, at + PIECE));
    }
    const name = document.getElementById("b-name").value;
    await post(form.dataset.install, new URLSearchParams({ size: String(file.size), name }));
    form.reset();
    document.body.dispatchEvent(new CustomEvent("asd:changed"));
  } catch (error) {
    wrong.textContent = error instanceof TypeError ? form.dataset.failed : error.message;
    wrong.hidden = false;
  } finally {
    button.disabled = false;
    sending.hidden = true;
  }
});
