// For screen readers: what is shown in this element is read out, since the element itself stays;
// and the field of uploads is called what it says.
element.setAttribute('role', 'status');
element.setAttribute('aria-live', 'polite');
const name = () => {
  for (const field of document.querySelectorAll('.upload-container[aria-label]')) {
    const words = field.innerText.replace(/\s+/g, ' ').trim();
    if (words && field.getAttribute('aria-label') !== words) field.setAttribute('aria-label', words);
  }
};
new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
name();
