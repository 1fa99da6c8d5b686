// A number that is being typed belongs to the user: nothing is sent of it and nothing is written
// into its box until Enter, or until the box is left. Then it is limited to what its control can
// be set to, and sent. Escape, and a box without a number, bring back what was shown before.
const own = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
const typed = new WeakMap();  // box -> the value it would show if nothing were being typed
const isBox = (e) => e instanceof HTMLInputElement && e.type === 'number';

const guard = (box) => {
  if (Object.hasOwn(box, 'value')) return;
  Object.defineProperty(box, 'value', {
    configurable: true,
    get() { return own.get.call(this); },
    set(value) { typed.has(this) ? typed.set(this, value) : own.set.call(this, value); },
  });
};

const limited = (box, number) => {
  const range = box.closest('.block')?.querySelector('input[type=range]') ?? box;
  const bound = (text, other) => (text === '' ? other : Number(text));
  const low = bound(range.min, -Infinity), high = bound(range.max, Infinity);
  const step = bound(range.step, 1);
  const whole = Number.isInteger(step) ? Math.round(number) : number;
  return range === box ? whole : Math.min(high, Math.max(low, whole));
};

const settle = (box, keep = true) => {
  if (!typed.has(box)) return;
  const before = typed.get(box), text = own.get.call(box);
  typed.delete(box);
  const number = Number(text);
  if (!keep || text.trim() === '' || !Number.isFinite(number)) {
    own.set.call(box, before);
    return;
  }
  own.set.call(box, String(limited(box, number)));
  box.dispatchEvent(new Event('input', { bubbles: true }));
};

document.addEventListener('focusin', (e) => { if (isBox(e.target)) guard(e.target); }, true);
document.addEventListener('beforeinput', (e) => {
  if (!isBox(e.target) || typed.has(e.target) || e.inputType === 'insertLineBreak') return;
  guard(e.target);
  typed.set(e.target, own.get.call(e.target));
}, true);
document.addEventListener('input', (e) => {
  // What the arrows of a box do is no typing, and comes without `beforeinput`.
  if (e.isTrusted && isBox(e.target) && typed.has(e.target) && e.inputType) {
    e.stopImmediatePropagation();
  }
}, true);
for (const kind of ['focusout', 'change']) {
  document.addEventListener(kind, (e) => { if (isBox(e.target)) settle(e.target); }, true);
}
document.addEventListener('keydown', (e) => {
  if (!isBox(e.target) || !typed.has(e.target)) return;
  if (['Enter', 'ArrowUp', 'ArrowDown'].includes(e.key)) settle(e.target);
  if (e.key === 'Escape') settle(e.target, false);
}, true);
