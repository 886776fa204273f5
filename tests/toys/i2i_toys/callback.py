import json

import torch


class Counter:
    """Counts steps and sums a loss; its state must survive a resume."""

    def __init__(self, *, loss: str = "l1") -> None:
        self.loss = loss
        self.steps = 0
        self.total = torch.zeros(())
        self.events = []

    def run_start(self, run):
        self.events.append("start")

    def step_end(self, run, logs):
        self.steps += 1
        self.total = self.total + logs[self.loss]

    def eval_end(self, run, metrics):
        self.events.append(f"eval {run.step}")

    def run_end(self, run, error):
        result = {"steps": self.steps, "total": float(self.total), "events": self.events}
        result["error"] = type(error).__name__ if error else None
        (run.folder / "counter.json").write_text(json.dumps(result))

    def state_dict(self):
        return {"steps": self.steps, "total": self.total}

    def load_state_dict(self, state):
        self.steps, self.total = state["steps"], state["total"]
