"""Plants faults in the hand-written backward functions and checks that the suite finds every one.

    python -m tools.mutate                    all of them, in two processes
    python -m tools.mutate --only LayerNorm   in the functions that this class's backward runs; or a file or function
    python -m tools.mutate --sample 40        some of them, drawn by --seed

The parts are in ``tools/mutation/``. Rows of the quick proof run first, the others only if those find nothing. Exits
with 1 if no row finds a fault that ``tools/mutation/equivalent.py`` does not explain, or if the quick proof by itself
finds less than 99 % or misses a fault that ``tools/mutation/left.py`` does not explain.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.compilation import compile_cheaply
from tests.points import strict
from tools.mutation.run import Fault, Outcome, Plan, sampled, unexplained, unmatched
from tools.mutation.subjects import subjects

QUICK = 0.99
"""The share of the faults that the quick proof must find by itself."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=str(__doc__).splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="plant only N faults, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", metavar="NAME", help="a class, or part of a file or function")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    started, outcome = time.perf_counter(), Outcome()
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for part in pool.map(_part, range(options.processes), [options] * options.processes):
            outcome.join(part)
    whole = not options.only and not options.sample
    if whole:
        outcome.errors += unexplained(outcome)
        if outcome.quick < QUICK:
            outcome.errors.append(f"the quick proof finds {outcome.quick:.2%}, which is less than {QUICK:.0%}")
    _report(outcome)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0 if outcome.good else 1


def _part(part: int, options: argparse.Namespace) -> Outcome:
    """Plants the share of the faults of one process."""
    compile_cheaply()
    with strict():
        plan = Plan(subjects())
        faults = everything = plan.faults(options.only)
        if not part:
            print(f"{len(everything)} faults in {len({f.place for f in everything})} functions", flush=True)
        if options.sample:
            faults = sampled(faults, options.sample, options.seed)
        # Functions are divided among the processes, so that each process prepares few rows.
        places = sorted({fault.place for fault in faults})
        mine = set(places[part :: options.processes])
        outcome = plan.run((fault for fault in faults if fault.place in mine), _progress)
        if not part and not options.only:
            outcome.errors += unmatched(everything)
    return outcome


def _progress(fault: Fault) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{fault.place}", end="", file=sys.stderr, flush=True)


def _report(outcome: Outcome) -> None:
    for title, by in (("operator", lambda f: f.mutation.operator), ("file", lambda f: f"fnn/{f.place.file}")):
        print(f"\nkilled  planted  by {title}")
        for name, killed, planted in outcome.counts(by):
            print(f"{killed:6}  {planted:7}  {name}")
    found = len(outcome.killed)
    print(f"\n{found} of {found + len(outcome.survivors)} found, {outcome.quick:.2%} of them by the quick proof alone")
    if outcome.late:
        print(f"\n{len(outcome.late)} left to the full proof:")
        for fault, name in outcome.late:
            print(f"  {fault}\n    found by {name}")
    if outcome.equivalent:
        print(f"\n{len(outcome.equivalent)} equivalent, as explained in tools/mutation/equivalent.py")
    if outcome.survivors:
        print(f"\n{len(outcome.survivors)} found by no row:")
        for fault in outcome.survivors:
            print(f"  {fault}\n    {fault.description!r}")
    for line in outcome.errors:
        print(f"\nerror: {line}")


if __name__ == "__main__":
    sys.exit(main())
