// Returns the layout faults of the page at the window's present width, one line each.
() => {
  // Own words, which are short, are never broken.
  const OWN = "thead th, caption, #verdict h1, h2, h3, dt, label, nav, time, .badge, .sign, .kind, .when, #configuration th";
  // Where a line may end within a text without breaking a word.
  const WORD = /[^\s\-‐–/?&|,=]+/gu;

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

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    const holder = text.parentElement;
    if (!text.data.trim() || !isShown(holder)) continue;
    const [column, sixEm] = room(holder);
    for (const { 0: word, index } of text.data.matchAll(WORD)) {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      const pieces = [...range.getClientRects()].filter((piece) => piece.width);
      if (new Set(pieces.map((piece) => Math.round(piece.top))).size < 2) continue;
      if (holder.closest(OWN)) faults.add(`broken: "${word}" of ${named(holder)}`);
      else if (column < sixEm - 0.5) faults.add(`${column} px wide: ${named(holder)} with "${word}"`);
    }
  }
  return [...faults];
}
