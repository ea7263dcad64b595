// Returns the layout faults of the page at the window's present width, one line each.
() => {
  // Own words, which are short, are never broken.
  const OWN = "thead th, caption, #verdict h1, h2, h3, dt, label, nav, time, .badge, .sign, .kind, .when, #configuration th";
  // Where a line may end within a text without breaking a word.
  const WORD = /[^\s\-‐–/?&|,=]+/gu;

  // Names may break in a column of six em; nothing else of this length does.
  const NAMES = "[data-label=job], [data-label=container], [data-label=cluster], [data-label=source], .labels td, .labels th, .subject, small";
  const SHORT = 30;
  // A region is not broken at its hyphens, but in a longer text.
  const VALUES = ".labels td, .subject";
  const REGION = /\b[a-z]{2}-[a-z]+-\d\b/gu;

  const faults = new Set();
  const width = document.documentElement.clientWidth;
  const named = (one) => {
    const section = one.closest("[id]")?.id;
    const text = one.textContent.trim().replace(/\s+/gu, " ").slice(0, 60);
    return `<${one.localName} class="${one.className}"> in #${section} ("${text}")`;
  };
  const isShown = (one) => {
    if (!one.checkVisibility() || one.closest("option, .skip")) return false;
    for (let at = one; at; at = at.parentElement) if (getComputedStyle(at).clipPath !== "none") return false;
    return true;
  };
  const room = (one) => {
    while (getComputedStyle(one).display.startsWith("inline")) one = one.parentElement;
    const { paddingLeft, paddingRight, fontSize } = getComputedStyle(one);
    return [one.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight), 6 * parseFloat(fontSize)];
  };

  for (const one of document.body.querySelectorAll("*")) {
    if (!isShown(one)) continue;
    const { left, right } = one.getBoundingClientRect();
    if (left < -0.5 || right > width + 0.5) faults.add(`outside of the page: ${named(one)}`);
    // Of an inline element both are 0.
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) {
      faults.add(`${one.scrollWidth} px in ${one.clientWidth} px: ${named(one)}`);
    }
    // In a list of names and values, the name stands in the value's padding.
    const name = getComputedStyle(one, "::before");
    const isBeside = parseFloat(name.width) <= parseFloat(getComputedStyle(one).paddingLeft);
    if (name.content !== "none" && name.position === "absolute" && !isBeside) {
      faults.add(`a name lies on its value: ${named(one)}`);
    }
    if (getComputedStyle(one).overflowY !== "visible" && one.scrollHeight > one.clientHeight + 1) {
      faults.add(`cut off below: ${named(one)}`);
    }
  }

  const isInLines = (text, start, end) => {
    const range = document.createRange();
    range.setStart(text, start);
    range.setEnd(text, end);
    const pieces = [...range.getClientRects()].filter((piece) => piece.width);
    return new Set(pieces.map((piece) => Math.round(piece.top))).size > 1;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    const holder = text.parentElement;
    if (!text.data.trim() || !isShown(holder)) continue;
    const [column, sixEm] = room(holder);
    for (const { 0: word, index } of text.data.matchAll(WORD)) {
      if (!isInLines(text, index, index + word.length)) continue;
      const isWhole = holder.closest(OWN) || (word.length <= SHORT && !holder.closest(NAMES));
      if (isWhole) faults.add(`broken: "${word}" of ${named(holder)}`);
      else if (column < sixEm - 0.5) faults.add(`${column} px wide: ${named(holder)} with "${word}"`);
    }
    for (const { 0: region, index } of holder.closest(VALUES) ? [] : text.data.matchAll(REGION)) {
      if (isInLines(text, index, index + region.length)) faults.add(`broken: "${region}" of ${named(holder)}`);
    }
  }
  return [...faults];
}
