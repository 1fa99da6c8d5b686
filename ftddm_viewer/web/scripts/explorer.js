// Points of the trade-off: a click or Enter chooses one, arrow keys lead from one to the next. The
// drawing is replaced while points come: the point that has the focus keeps it.
let held = null;
const points = () => [...element.querySelectorAll('.point')];
const focus = (point) => {
  points().forEach((each) => each.setAttribute('tabindex', each === point ? '0' : '-1'));
  point.focus();
};
const asked = (target) => target instanceof Element && target.closest('[data-n], [data-measure]');
const choose = (part) => trigger('input', part.dataset.n === undefined
  ? { asked: `measure ${part.dataset.measure}` } : { asked: `point ${part.dataset.n}` });
element.addEventListener('click', (e) => {
  const part = asked(e.target);
  if (!part) return;
  if (part.dataset.n !== undefined) focus(part);
  choose(part);
});
element.addEventListener('keydown', (e) => {
  const point = e.target instanceof Element && e.target.closest('.point');
  if (!point) return;
  const all = points(), here = all.indexOf(point), last = all.length - 1;
  const next = {
    ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1,
    Home: 0, End: last,
  }[e.key];
  if (next !== undefined) focus(all[Math.min(last, Math.max(0, next))]);
  else if (e.key === 'Enter' || e.key === ' ') choose(point);
  else return;
  e.preventDefault();
  e.stopPropagation();
});
document.addEventListener('focusin', (e) => {
  const point = element.contains(e.target) && e.target.closest('.point');
  held = point ? point.dataset.n : null;
});
document.addEventListener('pointerdown', (e) => { if (!asked(e.target)) held = null; });
// A new drawing may take the old one's elements for other points, without any event.
const astray = (active) => active === document.body
  || (element.contains(active) && active.matches('.point') && active.dataset.n !== held);
new MutationObserver(() => {
  if (held === null || !astray(document.activeElement)) return;
  const point = element.querySelector(`.point[data-n="${held}"]`);
  if (point) focus(point);
}).observe(element, {
  childList: true, subtree: true, attributes: true, attributeFilter: ['data-n'],
});
