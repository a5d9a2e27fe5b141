"""Who acts beside people: the administrator, and one service user each for training, controller, gates and so on."""

ADMIN = "admin"
TRAINING = "svc-training"
CONTROLLER = "svc-controller"
MONITORING = "svc-monitoring"
AGENTS = "svc-agents"
GATES = "svc-gates"  # also puts pointers back and raises alerts
SERVICES = (TRAINING, CONTROLLER, MONITORING, AGENTS, GATES)
