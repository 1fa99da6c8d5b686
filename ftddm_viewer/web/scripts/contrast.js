// Colours of the maps: a change goes to the server with the time, a drag at most every 60 ms. How
// the pixels are drawn, smooth or mirrored, concerns the browser alone.
const field = (name) => element.querySelector(`[name=${name}]`);
const number = (name) => Number(field(name).value);
let waiting = 0;
const send = () => {
  waiting = 0;
  const stamp = performance.timeOrigin + performance.now();
  trigger('input', {
    asked: `${stamp} ${field('colormap').value} ${field('low').value} ${field('high').value}`,
  });
};
const tell = () => element.querySelectorAll('output').forEach((each) => {
  each.value = `${field(each.dataset.of).value} %`;
});
const draw = () => {
  const images = document.getElementById('images');
  images.dataset.smooth = field('smooth').checked ? 'yes' : 'no';
  images.dataset.sides = field('mirrored').checked ? 'neurological' : 'radiological';
};
element.addEventListener('input', (e) => {
  const name = e.target.name, apart = Number(element.querySelector('form').dataset.apart);
  if (name === 'smooth' || name === 'mirrored') { draw(); return; }
  if (name === 'low') field('high').value = Math.max(number('high'), number('low') + apart);
  if (name === 'high') field('low').value = Math.min(number('low'), number('high') - apart);
  tell();
  if (!waiting) waiting = setTimeout(send, 60);
});
element.addEventListener('click', (e) => {
  if (e.target.name !== 'reset') return;
  element.querySelectorAll('[data-usual]').forEach((each) => { each.value = each.dataset.usual; });
  tell();
  send();
});
element.addEventListener('submit', (e) => e.preventDefault());
const close = () => element.querySelector('details')?.removeAttribute('open');
document.addEventListener('pointerdown', (e) => { if (!element.contains(e.target)) close(); });
element.addEventListener('keydown', (e) => { if (e.key === 'Escape') close(); });
watch('value', () => setTimeout(() => { if (field('smooth')) draw(); }));
