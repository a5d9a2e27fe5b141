const { model, version } = find("page-script").dataset;
const form = find("review-form"), comment = find("comment"), help = find("help");
const here = `${encodeURIComponent(model)}/${encodeURIComponent(version)}`;

for (const button of document.querySelectorAll("button[data-stage]")) {
  button.addEventListener("click", () => ask("/ajax-api/2.0/mlflow/model-versions/transition-stage",
    { name: model, version, stage: button.dataset.stage, archive_existing_versions: false }, `Moved to ${button.dataset.stage}.`));
}
find("ask-gates")?.addEventListener("click", () => ask(`/flywheel/api/gates/${here}`, {}, "The gates will run. Their evidence appears here."));

const LABELS = { comment: "Send comment", approve: "Approve", request_changes: "Ask for changes", reject: "Reject", withdraw: "Withdraw my review" };
const DONE = { comment: "Your comment is kept.", approve: "You approved it.", request_changes: "You asked for changes.", reject: "You rejected it.", withdraw: "Your review is withdrawn." };
form?.addEventListener("change", () => { find("send").textContent = LABELS[form.elements.decision.value]; });
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const decision = form.elements.decision.value;
  if (decision === "comment" && !comment.value.trim()) { say("Write a comment first."); comment.focus(); return; }
  ask(`/flywheel/api/review/${here}`, { decision, comment: comment.value.trim() }, DONE[decision]);
});
find("override-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = find("reason").value.trim();
  if (!reason) { say("Write the reason first."); find("reason").focus(); return; }
  ask(`/flywheel/api/override/${here}`, { reason }, "The policy was overridden.");
});
find("show-help")?.addEventListener("click", () => help.showModal());

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.previousElementSibling.textContent); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(button.previousElementSibling); }
  });
}
for (const image of document.querySelectorAll("figure img")) {
  image.addEventListener("error", () => {
    const gone = document.createElement("p");
    gone.textContent = "The picture cannot be read now.";
    image.closest("figure").classList.add("none");
    image.closest("a").replaceWith(gone);
  });
}

const sections = [...document.querySelectorAll(".section")];
const links = new Map([...document.querySelectorAll("nav.sections a")].map((link) => [link.hash.slice(1), link]));
let current = -1;

function goTo(index) {
  current = Math.max(0, Math.min(index, sections.length - 1));
  const section = sections[current];
  section.open = true;
  section.querySelector("summary").focus({ preventScroll: true });
  section.scrollIntoView();
  mark(section.id);
}
function place() {  // the section in focus; else the one that was scrolled to
  const focused = sections.findIndex((section) => section.contains(document.activeElement));
  return focused < 0 ? current : focused;
}
function mark(id) {
  for (const [name, link] of links) {
    if (name === id) { link.setAttribute("aria-current", "true"); } else { link.removeAttribute("aria-current"); }
  }
  const bar = document.querySelector("nav.sections"), link = links.get(id);
  if (link && bar) { bar.scrollLeft = link.offsetLeft - bar.offsetLeft - 40; }
}
function follow() {
  const passed = sections.findLastIndex((section) => section.getBoundingClientRect().top < 120);
  if (passed !== current) { current = passed; mark(passed < 0 ? "" : sections[passed].id); }
}
const jump = document.querySelector(".jump");
new IntersectionObserver(([seen]) => { jump.classList.toggle("away", seen.isIntersecting); }).observe(find("decision"));
let waiting = false;
addEventListener("scroll", () => {
  if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; follow(); }); }
}, { passive: true });
function openTarget() {
  const target = location.hash && find(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) { target.open = true; }
}
addEventListener("hashchange", openTarget);
openTarget();

function choose(decision) {
  if (!form) { return; }
  const choice = form.querySelector(`input[value="${decision}"]`);
  if (choice.disabled) { say(find("why-not")?.textContent || "You may not do that here."); return; }
  choice.checked = true;
  choice.dispatchEvent(new Event("change", { bubbles: true }));
  comment.focus();
}
const KEYS = {
  a: () => choose("approve"), r: () => choose("reject"), c: () => choose("comment"),
  j: () => goTo(place() + 1), k: () => goTo(place() - 1), "?": () => help.showModal(),
};
addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("textarea, input:not([type=radio]), select");
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && form && form.contains(event.target)) {
    event.preventDefault();
    form.requestSubmit();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && !help.open && Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  } else if (typing && event.key === "Escape") {
    event.target.blur();
  }
});
