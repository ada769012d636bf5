// The player of the Episodes page: clips played one after the other as the episode they are, with its times.
// It reports where it is only when asked, so that the page is not run again while it plays.

const SVG = "http://www.w3.org/2000/svg"
const players = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  let player = players.get(parentElement)
  if (!player) {
    player = create(parentElement.querySelector(".player"))
    players.set(parentElement, player)
  }
  player.report = (what) => setTriggerValue("chosen", { ...what, at: Date.now() })
  player.show(data)
  return () => {
    player.end()
    players.delete(parentElement)
  }
}

const clock = (seconds) => {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0")
  const minutes = Math.floor(whole / 60)
  return minutes < 60 ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`
}

const make = (tag, className, text) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text // Never as HTML: people and machines wrote it.
  return element
}

function create(root) {
  const find = (name) => root.querySelector(`.${name}`)
  const screens = [...root.querySelectorAll("video")]
  const strip = find("strip"), list = find("lines"), head = find("head")
  let data = null, front = 0, index = 0, rows = [], asked = null, heard = "", frame = 0
  const player = { report: () => {}, show, end }

  const clip = () => data.clips[index]
  const screen = () => screens[front]
  const now = () => (clip() ? Math.min(clip().start + screen().currentTime, clip().end) : 0)

  function show(next) {
    const fresh = !data || data.episode !== next.episode || data.stamp !== next.stamp
    const playing = data && !screen().paused
    const at = data && data.episode === next.episode ? now() : next.t
    data = next
    if (fresh) {
      draw()
      load(at, playing && at !== next.t)
    }
    // The moment of the address is gone to once, and not again when the page is run for something else.
    if (asked !== next.seek) {
      asked = next.seek
      if (!fresh || at !== next.t) seek(next.t)
    }
    if (heard !== next.sound) listen(next.sound)
    mark()
  }

  // The first time it takes seconds, beside the page; where it cannot be had, the timeline is without it.
  function listen(url) {
    heard = url
    find("sound").hidden = true
    fetch(url).then((answer) => (answer.ok ? answer.json() : null)).then((levels) => {
      if (levels && heard === url) wave(levels)
    })
  }

  function wave(levels) {
    const half = (sign) => levels.map((level, x) => `L${x + 0.5} ${50 + sign * (0.8 + (49 * level) / 255)}`)
    const path = `M0 50${half(-1).join("")}L${levels.length} 50${half(1).reverse().join("")}Z`
    const draw = (name) => {
      const picture = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "path")
      picture.setAttribute("viewBox", `0 0 ${levels.length} 100`)
      picture.setAttribute("preserveAspectRatio", "none")
      picture.setAttribute("class", name)
      line.setAttribute("d", path)
      line.setAttribute("fill", "currentColor")
      picture.append(line)
      return picture
    }
    find("sound").replaceChildren(draw("whole"), draw("heard"))
    find("sound").hidden = false
    mark()
  }

  function indexAt(t) {
    const after = data.clips.findIndex((each) => t < each.end)
    return after < 0 ? data.clips.length - 1 : after
  }

  function load(t, play) {
    index = indexAt(t)
    if (!clip()) return
    const video = screen()
    const offset = Math.max(0, t - clip().start)
    if (video.dataset.url !== clip().video) {
      video.dataset.url = clip().video
      video.src = clip().video
      video.poster = clip().still || ""
    }
    find("problem").hidden = true
    if (video.readyState > 0) video.currentTime = offset
    else video.addEventListener("loadedmetadata", () => (video.currentTime = offset), { once: true })
    if (play) begin(video)
    prepare()
    mark()
  }

  function begin(video) {
    video.play().catch((error) => {
      if (error.name !== "AbortError") tell()
    })
  }

  // The next clip waits on the other screen, so that a cut is a cut.
  function prepare() {
    const other = screens[1 - front], next = data.clips[index + 1]
    if (next && other.dataset.url !== next.video) {
      other.dataset.url = next.video
      other.src = next.video
    }
  }

  function forward() {
    if (index + 1 >= data.clips.length) return screen().pause()
    index += 1
    screen().pause()
    screen().hidden = true
    front = 1 - front
    const video = screen()
    video.hidden = false
    if (video.dataset.url !== clip().video) {
      video.dataset.url = clip().video
      video.src = clip().video
    }
    video.currentTime = 0
    begin(video)
    prepare()
  }

  function seek(t, play = !screen().paused) {
    if (!screen().paused) screen().pause()
    load(Math.max(0, Math.min(t, data.seconds)), play)
  }

  function tell() {
    find("problem").hidden = false
    find("problem").textContent = "This clip cannot be played: its file is missing. dailies store verify --repair"
  }

  function draw() {
    const part = (t) => `${(100 * t) / data.seconds}%`
    const lane = (name, spans, fill) => {
      const row = find(name)
      row.replaceChildren(...spans.map((span, number) => {
        const piece = make("button", span.kind || "")
        piece.style.left = part(span.start)
        piece.style.width = part(span.end - span.start)
        piece.title = `${clock(span.start)} ${span.label || ""}`.trim()
        piece.tabIndex = -1
        if (fill) piece.textContent = span.label || ""
        piece.onclick = (event) => {
          event.stopPropagation()
          seek(span.start)
          if (name === "clips") choose("clip")
        }
        return piece
      }))
    }
    lane("scenes", data.scenes, true)
    lane("shots", data.shots, false)
    lane("clips", data.clips, false)
    find("doubts").replaceChildren(...data.doubts.map((doubt) => {
      const sign = make("button", doubt.kind, doubt.kind === "speaker" ? "◆" : "?")
      sign.style.left = part(doubt.at)
      sign.title = `${clock(doubt.at)} ${doubt.label}`
      sign.tabIndex = -1
      sign.onclick = (event) => {
        event.stopPropagation()
        seek(doubt.at)
        choose("clip")
      }
      return sign
    }))
    rows = data.lines.map((line) => {
      const row = make("button", "line")
      row.append(make("time", "", clock(line.start)), make("b", line.known ? "" : "nobody", line.speaker))
      row.append(make("span", "", line.text))
      if (line.reviewed) row.append(make("em", "done", "✓ reviewed"))
      for (const kind of line.doubts) row.append(make("em", kind, kind === "speaker" ? "◆ who?" : "? words"))
      row.onclick = () => seek(line.start)
      return row
    })
    list.replaceChildren(...(rows.length ? rows : [make("p", "", "No lines were heard here.")]))
  }

  let current = -1
  function mark() {
    if (!data || !clip()) return
    const t = now()
    head.style.left = `${(100 * t) / data.seconds}%`
    const past = find("sound").querySelector(".heard")
    if (past) past.style.clipPath = `inset(0 ${100 - (100 * t) / data.seconds}% 0 0)`
    find("clock").textContent = `${clock(t)} / ${clock(data.seconds)}`
    find("play").textContent = screen().paused ? "Play" : "Pause"
    ;[...find("clips").children].forEach((piece, number) => {
      piece.classList.toggle("here", number === index)
      piece.classList.toggle("chosen", data.clips[number].id === data.chosen)
    })
    find("choose").hidden = clip().id === data.chosen
    const line = data.lines.findLastIndex((each) => each.start <= t + 0.05)
    if (line === current && rows[line]?.classList.contains("current")) return
    rows[current]?.classList.remove("current")
    current = line
    const row = rows[line]
    if (!row) return
    row.classList.add("current")
    // Only the list itself is scrolled: the page stays where the reader left it.
    list.scrollTo({ top: row.offsetTop - list.clientHeight / 2 + row.clientHeight / 2, behavior: "smooth" })
  }

  function tick() {
    mark()
    frame = screen().paused ? 0 : requestAnimationFrame(tick)
  }

  // A link, or another clip: the only times when the page hears where the player is.
  function choose(why) {
    player.report({ why, t: Math.round(now() * 100) / 100 })
  }

  function toggle() {
    screen().paused ? begin(screen()) : screen().pause()
  }

  function step(by) {
    const t = now(), starts = data.lines.map((line) => line.start)
    const next = by > 0 ? starts.find((start) => start > t + 0.1) : starts.findLast((start) => start < t - 0.5)
    if (next !== undefined) seek(next)
  }

  function key(event) {
    if (!root.isConnected || !data || event.ctrlKey || event.metaKey || event.altKey) return
    const target = event.composedPath()[0]
    const inside = root.contains(target)
    // Keys belong to whatever is being typed in or chosen from; only the player's own buttons give them away.
    if (!inside && target !== document.body && target.closest?.("input, textarea, button, a, [role], [tabindex]")) return
    if (event.key === " ") toggle()
    else if (event.key === "ArrowLeft") step(-1)
    else if (event.key === "ArrowRight") step(1)
    else return
    event.preventDefault()
  }

  screens.forEach((video) => {
    video.onplay = () => (frame ||= requestAnimationFrame(tick))
    video.onpause = video.onseeked = mark
    video.onended = () => video === screen() && forward()
    video.onerror = () => video === screen() && tell()
    video.onclick = toggle
  })
  strip.onclick = (event) => {
    const box = strip.getBoundingClientRect()
    seek(((event.clientX - box.left) / box.width) * data.seconds)
  }
  find("play").onclick = toggle
  find("before").onclick = () => step(-1)
  find("after").onclick = () => step(1)
  find("choose").onclick = () => choose("clip")
  find("link").onclick = () => choose("link")
  document.addEventListener("keydown", key)

  function end() {
    document.removeEventListener("keydown", key)
    cancelAnimationFrame(frame)
    screens.forEach((video) => video.pause())
  }

  return player
}
