"""The work of one round as a Flower App: FedAvg over a softmax of MNIST, SecAgg+ over the same, or SecAgg+ over a vector.

What to do stands in the JSON file that PEERS_PLAN names, because a simulated run takes no configuration:
    protocol   "fedavg" or "secaggplus"
    dim        length of a vector to be summed; 0 trains the softmax on folder/<partition>.x and .y
    clients, rounds, threshold, learning_rate, batch_share, folder
    root       process whose descendants are measured
    marks      file that gets one JSON line at the end of every round: when, and the CPU seconds of all descendants so far
Bytes of messages are counted in the first round alone, which is not measured.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.common.serde import message_to_proto
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from processes import descendants

PIXELS, CLASSES = 784, 10
PLAN = json.loads(Path(os.environ["PEERS_PLAN"]).read_text())


def mark(**more: float) -> None:
    """One line at the end of a round."""
    now = {"at": time.perf_counter(), "cpu": sum(descendants(PLAN["root"]).values()), **more}
    with open(PLAN["marks"], "a", encoding="utf-8") as file:
        file.write(json.dumps(now) + "\n")


class Counted:
    """Counts the bytes of a grid's messages until the first round ends."""

    def __init__(self, grid: Grid) -> None:
        self.up, self.down, self.open = 0, 0, True
        self.send_and_receive = grid.send_and_receive
        grid.send_and_receive = self.counted

    def counted(self, messages, **options):
        if not self.open:
            return self.send_and_receive(messages, **options)
        sent = list(messages)
        # Before they leave: a message is taken apart on its way.
        self.down += sum(message_to_proto(message).ByteSize() for message in sent)
        received = list(self.send_and_receive(sent, **options))
        self.up += sum(message_to_proto(message).ByteSize() for message in received)
        return received

    def mark(self) -> None:
        """The end of a round."""
        self.open = False
        mark(up=self.up / PLAN["clients"], down=self.down / PLAN["clients"])


def require_everybody(replies: int, failures: int) -> None:
    """A round that lost somebody is no measurement."""
    if failures or replies != PLAN["clients"]:
        raise RuntimeError(f"a round lost clients: {replies} replies, {failures} failures")


def step(weights: np.ndarray, partition: int) -> np.ndarray:
    """One gradient step of a softmax over a random share of the client's rows, in the layout [classes, pixels + 1]."""
    folder = Path(PLAN["folder"])
    labels = np.fromfile(folder / f"{partition}.y", dtype=np.uint8)
    pixels = np.fromfile(folder / f"{partition}.x", dtype=np.float32).reshape(len(labels), PIXELS)
    chosen = np.random.default_rng().random(len(labels)) < PLAN["batch_share"]
    pixels, labels = pixels[chosen], labels[chosen]
    pixels = np.hstack([pixels, np.ones((len(labels), 1), dtype=np.float32)])
    logits = pixels @ weights.reshape(CLASSES, PIXELS + 1).T
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    odds[np.arange(len(labels)), labels] -= 1
    gradient = odds.T @ pixels / max(len(labels), 1)
    return (weights - PLAN["learning_rate"] * gradient.ravel()).astype(np.float32)


class Member(NumPyClient):
    """A client under SecAgg+."""

    def __init__(self, partition: int) -> None:
        self.partition = partition

    def fit(self, parameters, config):
        if PLAN["dim"]:
            return [np.full(PLAN["dim"], 0.5, dtype=np.float32)], 1, {}
        return [step(parameters[0], self.partition)], 1, {}


def initial() -> np.ndarray:
    """The first model; of a vector to be summed nothing goes down."""
    return np.zeros(1 if PLAN["dim"] else CLASSES * (PIXELS + 1), dtype=np.float32)


def fedavg(grid: Grid, counted: Counted) -> None:
    """Flower's strategy over messages."""

    class Marked(FedAvg):
        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            failures = sum(reply.has_error() for reply in replies)
            require_everybody(len(replies), failures)
            result = super().aggregate_train(server_round, replies)
            counted.mark()
            return result

    clients = PLAN["clients"]
    strategy = Marked(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)
    strategy.start(grid=grid, initial_arrays=ArrayRecord([initial()]), num_rounds=PLAN["rounds"])


def secaggplus(grid: Grid, context: Context, counted: Counted) -> None:
    """Flower's SecAgg+ workflow, which runs over its older strategies; every client is every client's neighbour, as ours."""

    class Marked(LegacyFedAvg):
        def aggregate_fit(self, server_round, results, failures):
            require_everybody(len(results), len(failures))
            result = super().aggregate_fit(server_round, results, failures)
            counted.mark()
            return (None, {}) if PLAN["dim"] else result

    clients = PLAN["clients"]
    strategy = Marked(
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters([initial()]),
    )
    legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=PLAN["rounds"]), strategy=strategy)
    protocol = SecAggPlusWorkflow(num_shares=clients, reconstruction_threshold=PLAN["threshold"], max_weight=1)
    DefaultWorkflow(fit_workflow=protocol)(grid, legacy)


server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """The server's side of a run."""
    counted = Counted(grid)
    if PLAN["protocol"] == "fedavg":
        fedavg(grid, counted)
    else:
        secaggplus(grid, context, counted)


if PLAN["protocol"] == "fedavg":
    client = ClientApp()

    @client.train()
    def train(message: Message, context: Context) -> Message:
        """A client's side of FedAvg."""
        weights = message.content["arrays"].to_numpy_ndarrays()[0]
        weights = step(weights, int(context.node_config["partition-id"]))
        content = {"arrays": ArrayRecord([weights]), "metrics": MetricRecord({"num-examples": 1})}
        return Message(RecordDict(content), reply_to=message)

else:
    client = ClientApp(
        client_fn=lambda context: Member(int(context.node_config["partition-id"])).to_client(),
        mods=[secaggplus_mod],
    )
