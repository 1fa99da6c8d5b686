// An answer may be lost: gradio closes its stream when the last event ends, and what a new event
// sends at that moment is read with the next one only, or never. So when something was done, or is
// being computed, and nothing of it arrives, the page asks once more. If it still seems to be at work
// and nothing comes, it asks for everything.
const patience = 4000;
let timer = 0, unanswered = 0;
const wait = () => { clearTimeout(timer); timer = setTimeout(ask, patience); };
const ask = () => {
  unanswered = busy() ? unanswered + 1 : 0;
  trigger('input', { lost: unanswered > 1 });
  if (busy()) wait();
};
const busy = () => document.querySelector('#progress .busy')
  || /^Opening/.test(document.querySelector('#progress .activity')?.textContent ?? 'Opening');
const arrived = () => { unanswered = 0; clearTimeout(timer); if (busy()) wait(); };
for (const kind of ['input', 'change', 'click']) {
  document.addEventListener(kind, (e) => {
    if (e.target instanceof Element && e.target.closest('#page')) wait();
  }, true);
}
const look = () => {
  // Not the whole block: gradio counts the seconds of a pending answer in it.
  const progress = document.querySelector('#progress .prose');
  if (!progress) { setTimeout(look, 200); return; }
  new MutationObserver(arrived).observe(progress, { childList: true, subtree: true, characterData: true });
  wait();
};
look();
