#!/usr/bin/env bash
# tensorboard 2.21.0 with tensorboard-data-server 0.7.2, tensorboardX 2.6.5, Linux x86-64, Python 3.11.
#
# SummaryWriter(purge_step=4), "any events whose global_step larger or equal to 4 will be purged and hidden from
# TensorBoard", hides nothing by itself. A first writer wrote steps 3, 6 and 9 of a loss and of an accuracy, and
# crashed; a second one with purge_step=4 has written the loss at step 8.
#
# - The default loader (a data server in Rust) does not read the event that purge_step writes, the START of a session.
#   It drops an event when the same tag comes again at its step or an earlier one: step 6, which was never reached
#   again, stays between 3 and 8, and so do all of a tag that has not come again.
# - The other loader (--load_fast=false) lets the first START of a folder pass for the start of the first session, and
#   a writer without purge_step writes none: nothing is hidden, and the steps go back. If the first writer has a
#   purge_step too, or the second writes START twice, all is hidden that should be.
#
# Seen:
#   load_fast=true   loss at [3, 6, 8]     accuracy at [3, 6, 9]
#   load_fast=false  loss at [3, 6, 9, 8]  accuracy at [3, 6, 9]
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "tensorboard==2.21.0" "tensorboardX==2.6.5" "setuptools<80"
"$folder/venv/bin/python" - "$folder/logs" 2>"$folder/errors" <<'PY' || { cat "$folder/errors"; exit 1; }
import json
import socket
import subprocess
import sys
import time
import urllib.request

from tensorboardX import SummaryWriter

logs = sys.argv[1]
with SummaryWriter(logs) as writer:
    for step in (3, 6, 9):
        writer.add_scalar("loss", 1.0, step)
        writer.add_scalar("accuracy", 0.5, step)
time.sleep(1.1)  # a second writer of the same second would write over the first one's file (tensorboardX issue 776)
with SummaryWriter(logs, purge_step=4) as writer:
    writer.add_scalar("loss", 2.0, 8)


def steps(load_fast: str) -> dict[str, list[int]]:
    """What TensorBoard serves, once it has read all."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--port", str(port)]
    server = subprocess.Popen([*command, f"--load_fast={load_fast}"], stdout=sys.stderr)
    address, found = f"http://127.0.0.1:{port}/data/plugin/scalars", {}
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                for tag in ("loss", "accuracy"):
                    with urllib.request.urlopen(f"{address}/scalars?run=.&tag={tag}") as reply:
                        found[tag] = [step for _, step, _ in json.load(reply)]
            except OSError:
                continue
            if found["loss"] and found["loss"][-1] == 8:
                break
    finally:
        server.terminate()
        server.wait()
    return found


fast, slow = steps("true"), steps("false")
for name, found in [("true ", fast), ("false", slow)]:
    print(f"load_fast={name}  loss at {found['loss']!s:12}  accuracy at {found['accuracy']}")
if fast != {"loss": [3, 6, 8], "accuracy": [3, 6, 9]} or slow != {"loss": [3, 6, 9, 8], "accuracy": [3, 6, 9]}:
    raise SystemExit("changed: purge_step hides other events now")
PY
