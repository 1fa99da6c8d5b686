// Copies the link of the field beside the button, and says so on the button for a moment.
const button = element.querySelector('button'), field = element.querySelector('input');
const words = button.textContent;
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // no permission, or a page that is not secure
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
};
const said = document.querySelector('#said [role=status]');
window.ftddmCopy = async (text) => {
  const done = await copy(text);
  if (said) said.textContent = done ? 'Copied.' : 'The browser does not let this page copy.';
};
button.setAttribute('aria-live', 'polite');
button.addEventListener('click', async () => {
  button.textContent = (await copy(field.value)) ? 'Copied' : 'Press Ctrl+C';
  setTimeout(() => { button.textContent = words; }, 2000);
});
field.addEventListener('focus', () => field.select());
