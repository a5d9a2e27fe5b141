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
  const link = document.createElement('a');
  link.id = 'flywheel-review-link';
  link.style.cssText = 'position:fixed;left:50%;transform:translateX(-50%);bottom:24px;z-index:1000;padding:10px 16px;border-radius:8px;' +
    'background:#0b5d57;color:#fff;font:600 14px system-ui,sans-serif;text-decoration:none;box-shadow:0 2px 8px #0005';
  function place() {
    const version = VERSION.exec(location.hash);
    if (!version && !MODEL.test(location.hash)) { link.remove(); return; }
    const page = version ? `${version[1]}/${version[2]}` : '';
    link.href = new URL(`flywheel/review/${page}`, location.href.split('#')[0]).href;
    link.textContent = version ? `Review version ${version[2]}` : 'Versions waiting for review';
    if (!link.isConnected && document.body) { document.body.append(link); }
  }
  addEventListener('hashchange', place);
  addEventListener('DOMContentLoaded', place);
  const push = history.pushState;
  history.pushState = function (...given) { push.apply(this, given); place(); };
})();
