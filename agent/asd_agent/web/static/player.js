// Playhead over the picture of an alarm, moved by the sound and moving it.
const figure = document.querySelector(".picture");
const sound = document.querySelector("audio");
const head = figure?.querySelector(".playhead");
if (figure && sound && head) {
  const left = Number(figure.dataset.left);
  const width = Number(figure.dataset.right) - left;
  const place = () => {
    if (!sound.duration) return;
    head.hidden = false;
    head.style.left = `${100 * (left + (width * sound.currentTime) / sound.duration)}%`;
    if (!sound.paused) requestAnimationFrame(place);
  };
  for (const event of ["play", "seeked", "timeupdate", "pause"]) sound.addEventListener(event, place);
  figure.addEventListener("click", (event) => {
    const box = figure.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - left) / width;
    if (sound.duration && share >= 0 && share <= 1) sound.currentTime = share * sound.duration;
  });
}
