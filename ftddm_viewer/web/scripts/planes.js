// The cross-hair of the three planes: a click, a drag or the arrow keys move it. The drawings are
// replaced meanwhile: the one that has the focus keeps it.
let held = null, dragging = false, waiting = 0, newest = '';
const send = () => { waiting = 0; trigger('input', { asked: newest }); };
const go = (axis, x, y) => {
  const stamp = performance.timeOrigin + performance.now();
  newest = `${stamp} ${axis} ${x.toFixed(2)} ${y.toFixed(2)}`;
  if (!waiting) waiting = setTimeout(send, 60);
};
const planeOf = (target) => target instanceof Element && target.closest('[data-axis]');
const point = (e) => {
  const plane = planeOf(e.target), inner = plane && plane.querySelector('svg svg');
  if (!inner) return;
  const { x, y } = new DOMPoint(e.clientX, e.clientY)
    .matrixTransform(inner.getScreenCTM().inverse());
  go(plane.dataset.axis, x, y);
};
element.addEventListener('pointerdown', (e) => {
  if (e.button !== 0 || !planeOf(e.target)) return;
  dragging = true;
  point(e);
});
element.addEventListener('pointermove', (e) => { if (dragging && e.buttons & 1) point(e); });
document.addEventListener('pointerup', () => { dragging = false; });
element.addEventListener('keydown', (e) => {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  const plane = by && planeOf(e.target);
  if (!plane) return;
  const mirrored = document.getElementById('images').dataset.sides === 'neurological' ? -1 : 1;
  const { axis, x, y, dx, dy } = plane.dataset;
  go(axis, Number(x) + mirrored * by[0] * dx, Number(y) + by[1] * dy);
  e.preventDefault();
  e.stopPropagation();
});
document.addEventListener('focusin', (e) => {
  held = element.contains(e.target) ? planeOf(e.target)?.dataset.axis ?? null : null;
});
new MutationObserver(() => {
  if (held === null || document.activeElement !== document.body) return;
  element.querySelector(`[data-axis="${held}"]`)?.focus();
}).observe(element, { childList: true, subtree: true });
