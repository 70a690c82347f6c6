// Level of the microphone that is chosen for a new machine.
const form = document.getElementById("choose");

if (form) {
  const decibels = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(0).replace("-", "−")} dBFS`);
  const note = document.getElementById("level-note");
  const clipped = document.getElementById("clipped");
  const channel = document.getElementById("n-channel");
  let source = null;

  const tell = (text) => {
    note.textContent = text;
    note.hidden = !text;
  };
  const show = (found) => {
    document.getElementById("n-level").value = found.level ?? -90;
    document.getElementById("level-text").textContent = decibels(found.level);
    document.getElementById("peak-text").textContent = decibels(found.peak);
    const text = found.clipped ? clipped.dataset.text : "";
    if (clipped.textContent !== text) clipped.textContent = text; // a screen reader reads it once
    clipped.hidden = !text;
  };
  const close = () => {
    source?.close();
    source = null;
    show({});
  };
  const open = () => {
    close();
    tell("");
    const chosen = form.querySelector("input[name=input]:checked");
    if (!chosen || document.hidden) return;
    const query = new URLSearchParams({ input: chosen.value, channel: channel.value || "0" });
    source = new EventSource(`${form.dataset.level}?${query}`);
    source.onmessage = (event) => {
      const found = JSON.parse(event.data);
      if (!found.text) return show(found);
      close(); // no further stream by itself: a microphone that is in use stays in use
      return tell(found.text);
    };
    source.onerror = () => {
      close();
      tell(form.dataset.lost);
    };
  };
  form.addEventListener("change", (event) => {
    if (event.target.name === "input" || event.target === channel) open();
  });
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", close);
}
