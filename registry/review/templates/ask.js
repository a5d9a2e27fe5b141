const find = (id) => document.getElementById(id);
const { root } = find("page-script").dataset;
const answer = find("answer");

function say(text, good = false) {
  answer.classList.toggle("good", good);
  answer.textContent = text;
  if (text) { answer.scrollIntoView({ block: "nearest" }); }
}

async function ask(path, body, done) {
  const buttons = [...document.querySelectorAll("main button")].filter((one) => !one.disabled);
  buttons.forEach((one) => { one.disabled = true; });
  say("");
  try {
    const response = await fetch(root + path, { method: "POST", credentials: "same-origin",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (response.ok) {
      sessionStorage.setItem("flywheel-done", done);
      location.reload();
      return;
    }
    const text = await response.text();
    try { say(JSON.parse(text).message || text); } catch { say(text || `The server answers ${response.status}.`); }
  } catch { say("The server does not answer. Try again."); }
  buttons.forEach((one) => { one.disabled = false; });
}

const done = sessionStorage.getItem("flywheel-done");
if (done) { sessionStorage.removeItem("flywheel-done"); say(done, true); }
