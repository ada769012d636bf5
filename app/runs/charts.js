// Charts of one training under one cursor: where the mouse is over one of them, all tell their values of that step.

const drawn = new WeakMap()
const SVG = "http://www.w3.org/2000/svg"
const LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 20

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".charts")
  let state = drawn.get(root)
  if (!state) {
    state = { logs: new Set(), at: null, width: 0 }
    state.watcher = new ResizeObserver(() => {
      if (state.width && Math.abs(root.clientWidth - state.width) > 1) draw(root, state)
    })
    state.watcher.observe(root)
    drawn.set(root, state)
  }
  const text = JSON.stringify(data.charts)
  if (state.text !== text) {
    state.text = text
    state.charts = data.charts
    draw(root, state)
  }
  return () => {
    state.watcher.disconnect()
    drawn.delete(root)
  }
}

const colour = (name) => name.startsWith("ramp")
  ? `color-mix(in oklab, var(--st-orange-color) ${100 - 25 * Number(name.slice(4))}%, var(--st-blue-color))`
  : `var(--st-${name}-color)`

const make = (tag, values = {}, text) => {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value)
  if (text !== undefined) element.textContent = text
  return element
}

const html = (tag, className, text) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text // Never as HTML.
  return element
}

const short = (value) => {
  if (value === null || value === undefined) return "–"
  const size = Math.abs(value)
  if (size && (size < 0.001 || size >= 1e6)) return value.toExponential(1).replace("e+", "e")
  if (size >= 1000) return Math.round(value).toLocaleString("en")
  return String(Number(value.toPrecision(3)))
}

// Round steps of 1, 2 or 5: four or so of them from low to high.
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= rough * 0.99) * power
  const found = []
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value)
  return found
}

function draw(root, state) {
  state.width = root.clientWidth
  if (!state.width) return
  const cards = state.charts.map((chart) => {
    const card = html("section", "chart"), header = html("header")
    header.append(html("h4", "", chart.title + (chart.unit ? `, ${chart.unit}` : "")))
    const keys = chart.lines.map((line) => {
      const key = html("span", "key"), dash = html("i"), value = html("b")
      dash.style.borderColor = colour(line.colour)
      if (line.faint) dash.style.opacity = 0.5
      key.append(dash, html("span", "", line.name), value)
      header.append(key)
      return value
    })
    const at = html("span", "at")
    header.append(at)
    const values = chart.lines.flatMap((line) => line.points.map((point) => point[1])).filter((v) => v > 0)
    if (values.length && !chart.zero) {
      const log = html("button", state.logs.has(chart.title) ? "on" : "", "log")
      log.title = "Logarithmic"
      log.onclick = () => {
        state.logs.has(chart.title) ? state.logs.delete(chart.title) : state.logs.add(chart.title)
        draw(root, state)
      }
      header.append(log)
    }
    card.append(header)
    return { chart, card, keys, at }
  })
  root.replaceChildren(...cards.map((each) => each.card))
  state.views = cards.map((each) => ({ ...each, ...plot(each, state, root) }))
  show(state)
}

function plot({ chart, card }, state, root) {
  const width = card.clientWidth - 22, height = chart.tall ? 260 : 150
  const points = chart.lines.flatMap((line) => line.points)
  const log = state.logs.has(chart.title)
  // A few wild steps must not press all others flat: the axis ends where one in two hundred is beyond it.
  const known = points.map((point) => point[1]).filter((v) => v !== null && (!log || v > 0)).sort((a, b) => a - b)
  const top = known[Math.min(known.length - 1, Math.ceil(known.length * 0.995))] ?? 1
  let low = chart.zero ? 0 : known[0] ?? 0, high = Math.max(top, ...chart.marks.map((mark) => mark.y ?? top))
  if (high === low) [low, high] = low ? [low * 0.9, high * 1.1] : [0, 1]
  if (!log) {
    const room = (high - low) * 0.06
    high += room
    low = chart.zero ? 0 : low - room
  }
  const last = Math.max(1, chart.of, ...points.map((point) => point[0]))
  const scale = log ? Math.log : (value) => value
  const x = (step) => LEFT + ((width - LEFT - RIGHT) * step) / last
  const y = (value) => TOP + ((height - TOP - BOTTOM) * (scale(high) - scale(value))) / (scale(high) - scale(low))
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" })
  const end = chart.lines.map((line) => `${line.name} ${short(line.points.at(-1)[1])}`).join(", ")
  svg.setAttribute("aria-label", `${chart.title}: ${end} at step ${short(points.at(-1)[0])}`)
  const clip = `clip-${Math.random().toString(36).slice(2)}`
  const box = make("clipPath", { id: clip })
  box.append(make("rect", { x: LEFT, y: 0, width: width - LEFT - RIGHT + 4, height: height - BOTTOM + 3 }))
  svg.append(box)
  const rows = log ? [low, Math.sqrt(low * high), high] : ticks(low, high, chart.tall ? 7 : 5)
  for (const value of rows) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }))
    svg.append(make("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, short(value)))
  }
  for (const step of ticks(0, last, width > 500 ? 6 : 4)) {
    const anchor = x(step) > width - 24 ? "end" : "middle"
    const place = { x: anchor === "end" ? width - 2 : x(step), y: height - 5, "text-anchor": anchor }
    svg.append(make("text", place, step.toLocaleString("en")))
  }
  const inside = make("g", { "clip-path": `url(#${clip})` })
  for (const mark of chart.marks) {
    inside.append(make("line", { class: "mark", x1: x(mark.x), x2: x(mark.x), y1: TOP, y2: height - BOTTOM }))
  }
  for (const line of chart.lines) {
    let path = "", pen = false
    for (const [step, value] of line.points) {
      if (value === null || (log && value <= 0)) {
        pen = false
        continue
      }
      path += `${pen ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`
      pen = true
    }
    const ink = colour(line.colour)
    const width_ = line.faint ? 1 : 1.7
    const stroke = make("path", { d: path, fill: "none", "stroke-width": width_, "stroke-linejoin": "round" })
    stroke.style.stroke = ink
    stroke.style.strokeOpacity = line.faint ? 0.45 : 1
    inside.append(stroke)
    for (const [step, value] of line.dots ? line.points : []) {
      if (value === null) continue
      const dot = make("circle", { cx: x(step), cy: y(value), r: 3 })
      dot.style.fill = ink
      inside.append(dot)
    }
  }
  svg.append(inside)
  for (const mark of chart.marks) {
    const rightmost = x(mark.x) > width - 110
    const place = { x: x(mark.x) + (rightmost ? -6 : 6), y: TOP + 9, "text-anchor": rightmost ? "end" : "start" }
    svg.append(make("text", place, mark.label))
    if (mark.y !== null) {
      const ring = make("circle", { cx: x(mark.x), cy: y(mark.y), r: 5.5, fill: "none", "stroke-width": 1.6 })
      ring.style.stroke = "var(--st-green-color)"
      svg.append(ring)
    }
  }
  const cursor = make("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" })
  svg.append(cursor)
  svg.onpointermove = (event) => {
    const bounds = svg.getBoundingClientRect()
    const inside_ = ((event.clientX - bounds.left) / bounds.width) * width
    state.at = Math.max(0, Math.min(last, ((inside_ - LEFT) / (width - LEFT - RIGHT)) * last))
    show(state)
  }
  svg.onpointerleave = () => {
    state.at = null
    show(state)
  }
  card.append(svg)
  return { cursor, x }
}

// The values at the cursor; without one, the last.
function show(state) {
  for (const { chart, keys, at, cursor, x } of state.views) {
    let step = null
    chart.lines.forEach((line, number) => {
      const found = state.at === null ? line.points.at(-1) : nearest(line.points, state.at)
      keys[number].textContent = short(found[1])
      step = found[0]
    })
    at.textContent = state.at === null ? "" : `step ${step.toLocaleString("en")}`
    cursor.setAttribute("visibility", state.at === null ? "hidden" : "visible")
    if (state.at !== null) {
      cursor.setAttribute("x1", x(state.at))
      cursor.setAttribute("x2", x(state.at))
    }
  }
}

function nearest(points, step) {
  let low = 0, high = points.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    points[middle][0] < step ? (low = middle + 1) : (high = middle)
  }
  const before = points[Math.max(0, low - 1)]
  return Math.abs(before[0] - step) < Math.abs(points[low][0] - step) ? before : points[low]
}
