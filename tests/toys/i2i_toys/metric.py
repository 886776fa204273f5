import torch


class Spread:
    """How far all translations together spread, against all training targets: no figure an image."""

    directions = {"spread": "min"}

    def prepare(self, train_data):
        targets = torch.stack([train_data[i]["target"].float() / 255 for i in range(len(train_data))])
        self.expected = targets.std()

    def reset(self):
        self.seen = []

    def update(self, source, fake, real, ids):
        self.seen.append(fake)

    def compute(self):
        return {"spread": float((torch.cat(self.seen).std() - self.expected).abs())}
