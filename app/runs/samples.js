// Samples of one training beside each other: one slider moves them all, one of them is heard.
// They follow their own clock, so that the films stay together however slowly one of them loads.

const grids = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".samples")
  let grid = grids.get(root)
  if (!grid) grids.set(root, (grid = create(root)))
  grid.show(data)
  return () => {
    grid.end()
    grids.delete(root)
  }
}

const make = (tag, className, text) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text // Never as HTML: people wrote the prompts.
  return element
}

const DRIFT = 0.12 // seconds that a film may be off before it is put right

function create(root) {
  const find = (name) => root.querySelector(`.${name}`)
  const sheet = find("sheet"), slider = find("slider")
  const films = new Map() // by cell and address: a film that is there is never loaded again
  let data = null, at = 0, playing = false, heard = "", frame = 0, before = 0
  const grid = { show, end }

  const length = () => Math.max(0.1, ...[...films.values()].map((film) => (film.video.duration || 0)))

  function show(next) {
    const same = data && JSON.stringify({ ...data, chosen: "" }) === JSON.stringify({ ...next, chosen: "" })
    if (data && data.run !== next.run) films.clear()
    data = next
    if (!same) draw()
    for (const [key, film] of films) film.cell.classList.toggle("chosen", key === data.chosen)
  }

  function draw() {
    widen()
    const cells = data.columns.map((column, number) => {
      const head = make("div", number ? "head" : "head first")
      head.role = "columnheader"
      const loss = make("span", column.best ? "loss best" : "loss")
      loss.textContent = column.loss ? `${column.best ? "★ best, " : ""}held out ${column.loss} ${column.change}` : " "
      head.append(make("b", "", column.name), loss)
      return head
    })
    for (const row of data.rows) {
      const prompt = make("div", "prompt", row.text)
      prompt.title = row.text
      prompt.append(make("span", "", `  seed ${row.seed}${row.of ? ` · the caption of ${row.of}, held out` : ""}`))
      cells.push(prompt, ...data.columns.map((column, number) => cell(column, row, number)))
    }
    sheet.replaceChildren(...cells)
    sound(heard)
  }

  function cell(column, row, number) {
    const key = `${column.step}.${row.prompt}`, address = data.cells[key]
    const known = films.get(key)
    if (known && known.address === address) return known.cell
    const place = make("div", number ? "cell" : "cell first")
    if (!address) {
      place.append(make("div", "none", "not made"))
      return place
    }
    const open = make("a", "open"), video = make("video"), ear = make("button", "ear", "🔈︎ hear")
    const gone = make("span", "gone", "the file is missing")
    gone.hidden = true
    video.muted = true
    video.playsInline = true
    video.preload = "auto"
    video.src = address
    video.onloadedmetadata = () => {
      video.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`
      put(video)
      mark()
    }
    video.onerror = () => again(video, gone)
    open.setAttribute("aria-label", `${column.name}, prompt ${row.prompt + 1}: the clips most like it`)
    open.href = data.opens[key]
    open.onclick = (event) => follow(event, open.href)
    ear.onclick = () => sound(heard === key ? "" : key)
    open.append(video)
    place.append(open, ear, gone)
    films.set(key, { address, video, cell: place })
    return place
  }

  // A sample that was made this moment is handed out a moment later.
  function again(video, gone, tries = Number(video.dataset.tries ?? 0)) {
    video.dataset.tries = tries + 1
    gone.hidden = tries < 3
    if (tries < 3) setTimeout(() => video.isConnected && video.load(), 2500)
  }

  const put = (video) => {
    if (video.readyState > 0) video.currentTime = Math.min(at, Math.max(0, video.duration - 0.02))
  }

  function move(to) {
    at = Math.max(0, Math.min(to, length()))
    for (const { video } of films.values()) {
      if (!video.isConnected) continue
      if (!playing || Math.abs(video.currentTime - at) > DRIFT) put(video)
    }
    mark()
  }

  function mark() {
    slider.value = String(Math.round((1000 * at) / length()))
    find("clock").textContent = `${at.toFixed(2)} / ${length().toFixed(2)} s`
    find("play").textContent = playing ? "Pause" : "Play all"
  }

  function tick(now) {
    if (!playing) return
    at += (now - before) / 1000
    before = now
    if (at >= length()) {
      at = 0
      for (const { video } of films.values()) put(video)
      for (const { video } of films.values()) video.play().catch(() => {})
    }
    move(at)
    frame = requestAnimationFrame(tick)
  }

  function toggle() {
    playing = !playing
    before = performance.now()
    for (const { video } of films.values()) {
      // A film that does not come or may not play says so in its own place; the others go on.
      if (playing && video.isConnected) video.play().catch(() => {})
      else video.pause()
    }
    if (playing) frame = requestAnimationFrame(tick)
    else cancelAnimationFrame(frame)
    move(at)
  }

  function sound(key) {
    heard = films.has(key) ? key : ""
    for (const [name, film] of films) {
      film.video.muted = name !== heard
      film.cell.classList.toggle("heard", name === heard)
    }
    const column = data.columns.find((each) => `${each.step}` === heard.split(".")[0])
    find("sound").textContent = heard ? `Sound: ${column?.name ?? ""}` : "Sound off"
  }

  function widen() {
    // The first column stays in sight while the others pass below it; its room at the edge is its own.
    const wide = Number(find("wide").value)
    sheet.style.gridTemplateColumns = `${wide + 17}px repeat(${Math.max(0, data.columns.length - 1)}, ${wide}px)`
  }

  function key(event) {
    const target = event.composedPath()[0]
    if (!root.contains(target) || event.key !== " " || target.tagName === "BUTTON") return
    toggle()
    event.preventDefault()
  }

  slider.oninput = () => {
    if (playing) toggle()
    move((length() * Number(slider.value)) / 1000)
  }
  find("wide").oninput = widen
  find("play").onclick = toggle
  find("sound").onclick = () => sound(heard ? "" : [...films.keys()].filter((each) => films.get(each).cell.isConnected).at(-1) ?? "")
  document.addEventListener("keydown", key)

  function end() {
    document.removeEventListener("keydown", key)
    cancelAnimationFrame(frame)
    for (const { video } of films.values()) video.pause()
  }

  return grid
}
