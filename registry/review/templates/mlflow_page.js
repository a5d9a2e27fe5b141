// At first sight MLflow hides the gate: the registry page has no stage control, a dialogue offers to do without it, the
// menu is that of language models, and an assistant covers a third of the page. People can still switch each of them.
for (const [key, value] of [
  ['_mlflow_user_setting_dismiss_next_model_registry_ui', 'true'],
  ['_mlflow_model_registry_promo_modal_dismissed_v1', 'true'],
  ['mlflow.workflowType_v1', '"machine_learning"'],
  ['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true'],
]) {
  if (localStorage.getItem(key) === null) { localStorage.setItem(key, value); }
}
(function () {
  const VERSION = /^#?\/models\/([^/?]+)\/versions\/(\d+)/;
  const MODEL = /^#?\/models(\/|$|\?)/;
  const bar = document.createElement('div');
  bar.style.cssText = 'position:fixed;left:50%;transform:translateX(-50%);bottom:24px;z-index:1000;display:flex;gap:8px;white-space:nowrap';
  const [rollouts, review] = ['flywheel-rollouts-link', 'flywheel-review-link'].map((id) => {
    const link = document.createElement('a');
    link.id = id;
    link.style.cssText = 'padding:10px 16px;border-radius:8px;background:#0b5d57;color:#fff;font:600 14px system-ui,sans-serif;' +
      'text-decoration:none;box-shadow:0 2px 8px #0005';
    bar.append(link);
    return link;
  });
  rollouts.textContent = 'Rollouts';
  function place() {
    const version = VERSION.exec(location.hash);
    if (!version && !MODEL.test(location.hash)) { bar.remove(); return; }
    const to = (page) => new URL(`flywheel/${page}`, location.href.split('#')[0]).href;
    review.href = to(version ? `review/${version[1]}/${version[2]}` : 'review/');
    review.textContent = version ? `Review version ${version[2]}` : 'Versions waiting for review';
    rollouts.style.display = version ? '' : 'none';
    if (version) { rollouts.href = to(`rollouts/${version[1]}`); }
    if (!bar.isConnected && document.body) { document.body.append(bar); }
  }
  addEventListener('hashchange', place);
  addEventListener('DOMContentLoaded', place);
  const push = history.pushState;
  history.pushState = function (...given) { push.apply(this, given); place(); };
})();
