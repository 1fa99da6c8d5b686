// Draws regions on the images of the tab "Regions", by pointer or by keys. Nothing is sent until a
// region is finished: then its shape, its points in the drawing's mm, and the slice that was seen.
const STEP = 2, SIZE = 20, NEAR = 1, MOST = 500;  // mm; and points of a polygon
const drawings = '#drawn-regions .drawing';
const chosen = () => document.querySelector('#region-shapes input:checked')?.value ?? 'ellipse';
const kind = (drawing) => [...drawing.classList].find((name) => name !== 'drawing');
const say = (words) => {
  const place = document.getElementById('region-said');
  if (place) place.textContent = words;
};

let draft = null;  // what is being drawn; it ends where another slice or study comes
const inner = () => document.querySelector(`${drawings}.${draft.kind} svg`);
const place = (svg, e) => {
  const { x, y } = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [x, y];
};
const outline = ({ shape, points }) => {
  if (shape === 'polygon') return `M${points.join('L')}Z`;
  const [[a, b], [c, d]] = points;
  if (shape === 'rectangle') return `M${a} ${b}H${c}V${d}H${a}Z`;
  const [rx, ry] = [Math.abs(c - a) / 2, Math.abs(d - b) / 2];
  const half = `a${rx} ${ry} 0 1 0`;
  return `M${(a + c) / 2 - rx} ${(b + d) / 2}${half} ${2 * rx} 0${half} ${-2 * rx} 0Z`;
};
const holds = () => {
  const seen = inner()?.closest('[data-study]')?.dataset;
  return seen && Number(seen.slice) === draft.slice && Number(seen.study) === draft.study;
};
const show = () => {
  if (draft && !holds()) draft = null;
  document.querySelectorAll('path.draft').forEach((path) => path.remove());
  const svg = draft && inner();
  if (!svg) return;
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('class', 'draft');
  path.setAttribute('d', outline(draft));
  svg.append(path);
};

const begin = (drawing, points, byKeys) => {
  const seen = drawing.closest('[data-study]')?.dataset;
  if (!seen) return;
  const shape = byKeys && chosen() === 'polygon' ? 'rectangle' : chosen();
  const [study, slice] = [Number(seen.study), Number(seen.slice)];
  draft = { kind: kind(drawing), byKeys, shape, points, study, slice };
  show();
};
const large = (points) => [0, 1].every((i) => {
  const values = points.map((point) => point[i]);
  return Math.max(...values) - Math.min(...values) >= NEAR;
});
const end = (keep) => {
  const { shape, points, study, slice } = draft, fits = holds();
  draft = null;
  show();
  say('');
  if (keep && fits && large(points)) trigger('input', { told: { drawn: { shape, points, study, slice } } });
};

document.addEventListener('pointerdown', (e) => {
  const drawing = e.target instanceof Element && e.target.closest(drawings);
  const svg = drawing && drawing.querySelector('svg');
  if (!svg || e.button || !e.isPrimary) return;
  e.preventDefault();
  drawing.closest('.hands')?.focus({ preventScroll: true });
  const at = place(svg, e);
  begin(drawing, chosen() === 'polygon' ? [at] : [at, at], false);
});
document.addEventListener('pointermove', (e) => {
  const svg = draft && !draft.byKeys && inner();
  if (!svg || !e.isPrimary) return;
  const at = place(svg, e), { points } = draft, last = points.at(-1);
  if (draft.shape !== 'polygon') points[1] = at;
  else if (points.length < MOST && Math.hypot(at[0] - last[0], at[1] - last[1]) >= NEAR) points.push(at);
  show();
});
document.addEventListener('pointerup', () => { if (draft && !draft.byKeys) end(true); });
document.addEventListener('pointercancel', () => { if (draft && !draft.byKeys) end(false); });

// Where a box is, for those who do not see it: its size, and its centre from the image's middle.
const tell = () => {
  const drawing = inner()?.closest('.drawing');
  if (!drawing) return;
  const box = drawing.querySelector('svg').viewBox.baseVal, [[a, b], [c, d]] = draft.points;
  const letters = [...drawing.querySelectorAll('.letter')].map((e) => e.textContent);
  const right = Math.round((a + c - 2 * box.x - box.width) / 2);
  const down = Math.round((b + d - 2 * box.y - box.height) / 2);
  say(`${draft.shape}, ${Math.round(c - a)} × ${Math.round(d - b)} mm, its centre `
    + `${Math.abs(right)} mm ${letters[right < 0 ? 0 : 1]} and ${Math.abs(down)} mm `
    + `${letters[down < 0 ? 2 : 3]} of the middle.`);
};
const centred = (svg) => {
  const box = svg.viewBox.baseVal, x = box.x + box.width / 2, y = box.y + box.height / 2;
  return [[x - SIZE / 2, y - SIZE / 2], [x + SIZE / 2, y + SIZE / 2]];
};
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
document.addEventListener('keydown', (e) => {
  if (draft && e.key === 'Escape') { e.preventDefault(); end(false); return; }
  const hands = e.target instanceof Element && e.target.closest('#drawn-regions .hands');
  if (!hands || e.ctrlKey || e.metaKey || e.altKey) return;
  const by = arrows[e.key];
  if (e.key === 'Enter') {
    if (draft) { end(true); } else {
      const drawing = hands.querySelector('.output') ?? hands.querySelector('.drawing');
      begin(drawing, centred(drawing.querySelector('svg')), true);
      if (draft) tell();
    }
  } else if (draft?.byKeys && by) {
    const [a, b] = draft.points;
    // Arrows lead where they point on the screen, even where the drawing is mirrored.
    const sense = e.shiftKey ? 1 : Math.sign(inner()?.getScreenCTM()?.a ?? 1);
    const moved = ([x, y]) => [x + STEP * sense * by[0], y + STEP * by[1]];
    const to = moved(b);
    if (!e.shiftKey) draft.points = [moved(a), to];
    else if (to[0] - a[0] >= STEP && to[1] - a[1] >= STEP) draft.points = [a, to];
    show();
    if (draft) tell(); else say('');
  } else return;
  e.preventDefault();
  e.stopPropagation();  // arrows would turn the slices
}, true);

document.addEventListener('click', (e) => {
  const remove = e.target instanceof Element && e.target.closest('[data-remove]')?.dataset.remove;
  if (remove) trigger('input', { told: { remove } });
});
