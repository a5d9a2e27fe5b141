for (const button of document.querySelectorAll("button[data-vote]")) {
  button.addEventListener("click", () => {
    const form = button.closest("form"), comment = form.elements.comment.value.trim(), vote = button.dataset.vote;
    if (vote === "reject" && !comment) { say("Write why first."); form.elements.comment.focus(); return; }
    ask(`/flywheel/api/policy/proposals/${form.dataset.number}/${vote}`, { comment }, vote === "approve" ? "You approved it." : "You rejected it.");
  });
}
for (const form of document.querySelectorAll("form.vote")) { form.addEventListener("submit", (event) => event.preventDefault()); }
