// A sample as the trainer reads it: frame by frame, by number.
export default function ({ data, parentElement }) {
  const find = (name) => parentElement.querySelector(name)
  const video = find("video"), slider = find("input"), at = find(".at"), play = find(".play")
  if (video.dataset.url !== data.video) {
    video.dataset.url = data.video
    video.src = data.video
  }
  const last = data.frames - 1
  slider.max = last
  const frame = () => Math.min(last, Math.floor(video.currentTime * data.fps + 0.001))
  const show = () => {
    slider.value = frame()
    at.textContent = `frame ${frame() + 1} of ${data.frames}`
    play.textContent = video.paused ? "Play" : "Pause"
  }
  const go = (number) => {
    video.pause()
    // The middle of a frame: its edges belong to either neighbour.
    video.currentTime = (Math.max(0, Math.min(last, number)) + 0.5) / data.fps
  }
  play.onclick = () => (video.paused ? video.play() : video.pause())
  find(".back").onclick = () => go(frame() - 1)
  find(".on").onclick = () => go(frame() + 1)
  slider.oninput = () => go(Number(slider.value))
  for (const event of ["timeupdate", "seeked", "play", "pause", "loadedmetadata"]) video[`on${event}`] = show
  show()
}
