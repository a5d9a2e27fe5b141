"""The loop: from what reviewers approved to what answers, one step a tick, judged, and back by itself.

ledger, fold, rollout   events, and their fold: what has happened to each use case
decision, controller    what comes next, and doing it; one pass over all use cases
interfaces              what it needs of registry, target and log
planning, plans         a rollout's plan, fixed before it starts; `observing` says what the log can tell of it
looking, eyes, journal  what is seen of a rollout under way, judged and kept; `confirmation` of routes
vigil, watch            what is seen of a version that has taken over: its requests; by `loss_vigil`, `loss_watch`
                        its outcomes; `healing` acts on it
leading, reconcile      who leads, and the pace; `flywheel deploy` waits, `resident` stays
emergency               back to the champion by the journal while Postgres is away
experimenting           A/B/n tests as rollouts, with `experiment_plans`, `experiment_looks`, `experiments_at_home`
dry_run, foretold       what would be done, and how long it would take
progress, view, standing, passes, traces    what it tells people, alerts and pictures
"""
