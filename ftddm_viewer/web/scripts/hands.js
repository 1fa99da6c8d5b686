// Hands on the image: the wheel and the arrow keys turn slices, keys do what the help says, and
// what is under a resting pointer is asked for and shown beside it.
const turn = (by) => {
  const range = document.querySelector('#slice input[type=range]');
  if (!range || range.disabled) return;
  const next = Math.min(Number(range.max), Math.max(Number(range.min), Number(range.value) + by));
  if (next === Number(range.value)) return;
  range.value = String(next);
  range.dispatchEvent(new Event('input', { bubbles: true }));
};
const onImage = (e) => e.target instanceof Element && e.target.closest('.drawing, .swipe');

let rolled = 0;
document.addEventListener('wheel', (e) => {
  if (!onImage(e) || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  rolled += e.deltaMode ? 40 * e.deltaY : e.deltaY;
  const steps = Math.trunc(rolled / 40);
  if (!steps) return;
  rolled = 0;
  turn(-Math.sign(steps));
}, { passive: false });

const typing = (e) => e.closest('textarea, select, [role=combobox], [contenteditable]')
  || (e.tagName === 'INPUT' && !['checkbox', 'radio', 'button', 'range'].includes(e.type));
const click = (id) => document.getElementById(id)?.click();
const view = (name) => [...document.querySelectorAll('#views [role=tab]')]
  .find((tab) => tab.innerText.trim() === name && tab.checkVisibility());
const open = (name) => {
  const there = view(name)?.getAttribute('aria-selected') === 'true';
  view(there ? 'Side by side' : name)?.click();
};
const does = {
  PageUp: () => turn(1), PageDown: () => turn(-1),
  'Ctrl+Z': () => click('undo'), 'Ctrl+Shift+Z': () => click('redo'),
  U: () => click('update'), Q: () => click('cancel'), D: () => click('all'),
  K: () => click('pin'), 'Shift+K': () => click('unpin'), W: () => click('flicker'),
  'Shift+W': () => open('A|B'), 'Shift+S': () => open('Swipe'),
};
document.addEventListener('keydown', (e) => {
  if (!(e.target instanceof Element) || typing(e.target) || e.altKey) return;
  const arrow = { ArrowUp: 1, ArrowDown: -1, ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (arrow && e.target.closest('.hands')) {
    e.preventDefault();
    turn(arrow);
    return;
  }
  const name = e.key.length === 1 ? e.key.toUpperCase() : e.key;
  const held = e.ctrlKey || e.metaKey ? 'Ctrl+' : '';
  const act = does[held + (e.shiftKey ? 'Shift+' : '') + name];
  if (!act) return;
  e.preventDefault();
  act();
});

let waiting = 0, last = '';
const hide = () => { clearTimeout(waiting); element.style.visibility = 'hidden'; last = ''; };
document.addEventListener('pointermove', (e) => {
  const drawing = e.target instanceof Element && e.target.closest('.drawing');
  const role = drawing && [...drawing.classList].find((name) => name !== 'drawing');
  if (!role || drawing.closest('.swipe, .planes')) { hide(); return; }
  clearTimeout(waiting);
  const left = Math.min(e.clientX + 14, innerWidth - 260);
  element.style.left = `${Math.max(4, left)}px`;
  element.style.top = `${Math.max(4, e.clientY - 34)}px`;
  waiting = setTimeout(() => {
    const inner = drawing.querySelector('svg'), matrix = inner?.getScreenCTM();
    if (!matrix) return;
    const { x, y } = new DOMPoint(e.clientX, e.clientY).matrixTransform(matrix.inverse());
    const asked = `${role} ${x.toFixed(2)} ${y.toFixed(2)}`;
    if (asked === last) return;
    last = asked;
    trigger('input', { asked });
    element.style.visibility = 'visible';
  }, 120);
}, { passive: true });
document.addEventListener('pointerleave', hide);
hide();
