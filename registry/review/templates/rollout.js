const words = find("say");
for (const button of document.querySelectorAll("button[data-saying]")) {
  button.addEventListener("click", () => {
    const because = words.elements.because.value.trim();
    if (!because) { say("Write why first."); words.elements.because.focus(); return; }
    const model = encodeURIComponent(words.dataset.model);
    ask(`/flywheel/api/rollouts/${model}/${button.dataset.saying}`, { because, rollout: words.dataset.rollout }, button.dataset.done);
  });
}
if (words) { words.addEventListener("submit", (event) => event.preventDefault()); }
