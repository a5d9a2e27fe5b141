const DAY = 86400000;
const DONE = { acknowledge: "It is known now.", close: "It is closed. A look that finds it again opens it anew.", silence: "It is silenced." };
for (const button of document.querySelectorAll("button[data-saying]")) {
  button.addEventListener("click", () => {
    const form = button.closest("form"), saying = button.dataset.saying, because = form.elements.because.value.trim();
    if (!because) { say("Write why first."); form.elements.because.focus(); return; }
    if (saying !== "silence") { ask(`/flywheel/api/alerts/${form.dataset.id}/${saying}`, { because }, DONE[saying]); return; }
    const until = new Date(Date.now() + form.elements.days.value * DAY).toISOString();
    ask("/flywheel/api/silences", { use_case: form.dataset.usecase, kind: form.dataset.kind, key: form.dataset.key, until, because }, DONE.silence);
  });
}
for (const form of document.querySelectorAll("form.said")) { form.addEventListener("submit", (event) => event.preventDefault()); }
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.previousElementSibling.textContent); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(button.previousElementSibling); }
  });
}
