// How the images are shown: applied once, as the link says or as it was before a reload; then told
// to the server whenever the user changes it, so that the link says so.
const PATIENCE = 60000, PAUSE = 150;
const tabs = '#views [role=tab], #views .overflow-dropdown button';
const tick = (name) => document.querySelector(`#contrast [name=${name}]`);
const background = (value) => document.querySelector(`#background input[value="${value}"]`);
const overlay = () => document.querySelector('#overlay input[type=number]');

const seen = () => ({
  tab: document.querySelector('#views [role=tab][aria-selected=true]')?.innerText.trim(),
  background: document.querySelector('#background input:checked')?.value,
  overlay: Math.round(Number(overlay()?.value ?? 100)),
  smooth: Number(tick('smooth')?.checked ?? false),
  neurological: Number(tick('mirrored')?.checked ?? false),
});
let begun = false, timer = 0;
const tell = () => {
  if (!begun) return;
  clearTimeout(timer);
  timer = setTimeout(() => trigger('input', { told: seen() }), 200);
};

const set = (input, value) => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
  input.dispatchEvent(new Event('input', { bubbles: true }));
  input.dispatchEvent(new Event('change', { bubbles: true }));
};
const press = (found) => { if (found) found.click(); return Boolean(found); };
const ticked = (name, wanted) => {
  const box = tick(name);
  if (box && box.checked !== Boolean(wanted)) box.click();
  return Boolean(box);
};
// Each returns whether it could be done yet: a tab may come with the first image.
const ways = {
  background: (value) => press(background(value)),
  overlay: (value) => { if (overlay()) set(overlay(), value); return Boolean(overlay()); },
  smooth: (value) => ticked('smooth', value),
  neurological: (value) => ticked('mirrored', value),
  tab: (value) => press([...document.querySelectorAll(tabs)].find((each) => each.innerText.trim() === value)),
};
const apply = (wanted, until) => {
  const now = seen();
  for (const name of Object.keys(wanted)) {
    if (now[name] == wanted[name] || ways[name](wanted[name])) delete wanted[name];
  }
  if (Object.keys(wanted).length && Date.now() < until) setTimeout(apply, PAUSE, wanted, until);
};
const begin = () => {
  const told = element.querySelector('[data-wanted]');
  if (begun || !told) return;
  begun = true;
  apply(JSON.parse(told.dataset.wanted), Date.now() + PATIENCE);
};
watch('value', () => setTimeout(begin));
begin();

document.addEventListener('click', (e) => {
  if (e.target instanceof Element && e.target.closest(`${tabs}, #contrast`)) tell();
});
for (const kind of ['change', 'input']) {
  document.addEventListener(kind, (e) => {
    if (e.target instanceof Element && e.target.closest('#background, #overlay, #contrast')) tell();
  });
}
