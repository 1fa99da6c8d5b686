// Flicker: the two drawings of the tab Swipe in turn and in place, until the button is pressed again
// or another tab is opened. It begins by hand alone, and nothing is sent to the server.
const every = 500;
const images = document.getElementById('images');
const swipe = () => [...document.querySelectorAll('#views [role=tab]')]
  .find((tab) => tab.innerText.trim() === 'Swipe' && tab.checkVisibility());
let timer = 0;
const say = () => document.getElementById('flicker')?.setAttribute('aria-pressed', String(timer > 0));
const stop = () => {
  clearInterval(timer);
  timer = 0;
  delete images.dataset.flicker;
  say();
};
const next = () => {
  if (swipe()?.getAttribute('aria-selected') !== 'true') { stop(); return; }
  images.dataset.flicker = images.dataset.flicker === 'left' ? 'right' : 'left';
};
document.addEventListener('click', (e) => {
  if (!(e.target instanceof Element) || !e.target.closest('#flicker')) return;
  if (timer) { stop(); return; }
  swipe()?.click();
  images.dataset.flicker = 'left';
  timer = setInterval(next, every);
  say();
});
