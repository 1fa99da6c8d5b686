// Copies the link of the field beside the button, and says so on the button for a moment.
const button = element.querySelector('button'), field = element.querySelector('input');
const words = button.textContent;
const copy = async () => {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {  // no permission, or a page that is not secure
    field.select();
    return document.execCommand('copy');
  }
};
button.setAttribute('aria-live', 'polite');
button.addEventListener('click', async () => {
  button.textContent = (await copy()) ? 'Copied' : 'Press Ctrl+C';
  setTimeout(() => { button.textContent = words; }, 2000);
});
field.addEventListener('focus', () => field.select());
