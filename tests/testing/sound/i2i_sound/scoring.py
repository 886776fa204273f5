import torch


class Error:
    """Mean absolute error, in [0,1]; 0 is perfect."""

    directions = {"error": "min"}

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        self.total, self.count = 0.0, 0

    def update(self, source, fake, real, ids):
        draws = fake.reshape(-1, *real.shape)
        each = (draws - real).abs().mean(dim=(0, 2, 3, 4))
        self.total += each.sum().item()
        self.count += len(each)
        return {"error": each}

    def compute(self):
        return {"error": self.total / self.count}


class HoleError:
    """Mean absolute error within a mask, in [0,1]; 0 is perfect."""

    directions = {"hole_error": "min"}
    requires = {"extra:mask": "sound/hole-error needs a mask of each picture"}

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        self.errors, self.pixels = 0.0, 0.0

    def update(self, source, fake, real, ids, *, mask):
        inside = mask.expand_as(real).double()
        draws = (fake.reshape(-1, *real.shape) - real).abs() * inside
        self.errors += draws.mean(dim=0).sum().item()
        self.pixels += inside.sum().item()

    def compute(self):
        return {"hole_error": self.errors / self.pixels}


class Counter:
    """Counts steps."""

    def __init__(self) -> None:
        self.steps = 0

    def step_end(self, run, logs):
        self.steps += 1

    def run_end(self, run, error):
        (run.folder / "steps.txt").write_text(str(self.steps))

    def state_dict(self):
        return {"steps": self.steps, "tensor": torch.ones(2)}

    def load_state_dict(self, state):
        self.steps = state["steps"]
