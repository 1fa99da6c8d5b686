// What is to be swept: the ticked settings and their values go to the server when Start is pressed.
element.addEventListener('change', (e) => {
  const values = e.target.type === 'checkbox' && element.querySelector(`#values-${e.target.name}`);
  if (values) values.disabled = !e.target.checked;
});
element.addEventListener('submit', (e) => {
  e.preventDefault();
  const wanted = [...element.querySelectorAll('input[type=checkbox]')].map((box) => [
    box.name, box.checked, element.querySelector(`#values-${box.name}`).value,
  ]);
  trigger('input', { asked: JSON.stringify(wanted) });
});
