/*
 * Runs in a page, as an expression: the texts whose contrast is below 4.5 (WCAG 1.4.3), each color with its background. A
 * large heading needs 3, but the theme has none that is fainter.
 */
;(() => {
  const parse = (text) => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
    return [red, green, blue, alpha]
  }
  const over = (top, below) => [0, 1, 2].map((index) => top[index] * top[3] + below[index] * (1 - top[3])).concat(1)
  const backgroundOf = (element) => {
    if (element === null) return [255, 255, 255, 1]
    const own = parse(getComputedStyle(element).backgroundColor)
    return own[3] === 1 ? own : over(own, backgroundOf(element.parentElement))
  }
  const linear = (value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
  const isText = (node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== ''
  const found = new Set()
  for (const element of document.querySelectorAll('.vp-doc *, .VPSidebar *, .VPDocAsideOutline *')) {
    if (![...element.childNodes].some(isText)) continue
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue
    const below = backgroundOf(element)
    const color = over(parse(getComputedStyle(element).color), below)
    const [light, dark] = [luminance(color), luminance(below)].sort((one, other) => other - one)
    if ((light + 0.05) / (dark + 0.05) < 4.5)
      found.add(`${element.tagName} .${element.className}: ${color} on ${below}`)
  }
  return [...found]
})()
