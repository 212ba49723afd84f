"""Runs exported models on raw rows and prints what they predict, as one JSON object. Called by `experiments onnx`, which
makes the files, compares the predictions and judges them:

    python onnx_check.py jobs.json      # [{"model", "onnx", "safetensors", "rows"}]

Every cell is parsed by the type of the graph's input alone: whoever uses an exported model knows no more. On the way it
holds each file against the readers that others would use: onnx.checker, and the safetensors library, whose tensors must be
the graph's weights.
"""

import csv
import json
import math
import sys

import numpy
import onnx
import onnxruntime
from safetensors import safe_open


def as_number(cell):
    return float(cell) if cell else math.nan


def as_truth(cell):
    return {"true": 1, "1": 1, "false": 0, "0": 0}.get(cell.lower(), -1)


PARSERS = {
    "tensor(double)": (as_number, numpy.float64),
    "tensor(int64)": (as_truth, numpy.int64),
    "tensor(string)": (str, object),
}


def columns(session, path):
    """One array of [rows, 1] for each input of the graph, from the file's column of that name."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    inputs = {}
    for wanted in session.get_inputs():
        parse, dtype = PARSERS[wanted.type]
        at = header.index(wanted.name)
        inputs[wanted.name] = numpy.array([parse(row[at]) for row in rows], dtype=dtype).reshape(-1, 1)
    return inputs


def predict(session, inputs):
    """Runs the first row alone and then the others: the number of rows must be free."""
    parts = [{name: cells[rows] for name, cells in inputs.items()} for rows in (slice(0, 1), slice(1, None))]
    names = [output.name for output in session.get_outputs()]
    ran = [session.run(names, part) for part in parts]
    return dict(zip(names, (numpy.concatenate(both) for both in zip(*ran))))


def same_weights(model, path):
    """The tensors of the other export, rounded to floats, are the graph's."""
    graph = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    graph = {name: array for name, array in graph.items() if name.startswith("layers/")}
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        if names != {name.replace("/", ".") for name in graph}:
            raise SystemExit(f"{path}: other tensors than the graph's: {sorted(names)}")
        for name, array in graph.items():
            tensor = file.get_tensor(name.replace("/", "."))
            if not numpy.array_equal(tensor.T.astype(numpy.float32), array):
                raise SystemExit(f"{path}: {name} is not the graph's")
        return file.metadata()


def run(job):
    model = onnx.load(job["onnx"])
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(job["onnx"], providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    told = same_weights(model, job["safetensors"])
    if any(told.get(name) != text for name, text in said.items()):
        raise SystemExit(f"{job['model']}: the two files say different things of their model")
    outputs = predict(session, columns(session, job["rows"]))
    found = {
        "model": job["model"],
        "model_hash": said["model_hash"],
        "prediction": [float(x) for [x] in outputs["prediction"]],
    }
    if "probabilities" in outputs:
        found["probabilities"] = outputs["probabilities"].tolist()
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    found = {"onnxruntime": onnxruntime.__version__, "models": [run(job) for job in jobs]}
    # A prediction that is not finite has no JSON and ends the script: there is none on any row.
    json.dump(found, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
