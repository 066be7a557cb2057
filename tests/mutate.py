"""Plants faults in the hand-written backward functions and shows that the suite finds every one.

    python -m tests.mutate                    all of them
    python -m tests.mutate --only LayerNorm   in the functions that this class's backward runs; or a file or function
    python -m tests.mutate --sample 40        some of them, drawn by --seed

The parts are in ``tests/mutation/``. Exits with 1 if a fault is found by no row and not explained in
``tests/mutation/equivalent.py``.
"""

import argparse
import sys
import time

from tests.mutation.run import Fault, Outcome, Plan, sampled, unmatched
from tests.mutation.subjects import subjects
from tests.points import strict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=str(__doc__).splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="plant so many faults, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", metavar="NAME", help="a class, or part of a file or function")
    options = parser.parse_args()
    with strict():
        started = time.perf_counter()
        plan = Plan(subjects())
        faults = everything = plan.faults(options.only)
        print(f"{len(everything)} faults in {len({f.place for f in everything})} functions", flush=True)
        if options.sample:
            faults = sampled(faults, options.sample, options.seed)
        outcome = plan.run(faults, _Progress(len(faults)))
        if not options.only:
            outcome.errors += unmatched(everything)
    _report(plan, outcome)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0 if outcome.good else 1


class _Progress:
    def __init__(self, total: int) -> None:
        self.total, self.count = total, 0

    def __call__(self, fault: Fault) -> None:
        self.count += 1
        if sys.stderr.isatty():
            print(f"\r{self.count}/{self.total}", end="", file=sys.stderr, flush=True)


def _report(plan: Plan, outcome: Outcome) -> None:
    for title, by in (("operator", lambda f: f.mutation.operator), ("file", lambda f: f"fnn/{f.place.file}")):
        print(f"\nkilled  planted  by {title}")
        for name, killed, planted in outcome.counts(by):
            print(f"{killed:6}  {planted:7}  {name}")
    print(f"\n{len(outcome.killed)} of {len(outcome.killed) + len(outcome.survivors)} found")
    if outcome.equivalent:
        print(f"\n{len(outcome.equivalent)} equivalent, as explained in tests/mutation/equivalent.py")
    if outcome.survivors:
        print(f"\n{len(outcome.survivors)} found by no row:")
        for fault in outcome.survivors:
            rows = len(plan.asked(fault.place))
            print(f"  {fault}\n    {f'asked {rows} rows' if rows else 'no row runs this function'}")
            print(f"    {fault.description!r}")
    for line in outcome.errors:
        print(f"\nerror: {line}")


if __name__ == "__main__":
    sys.exit(main())
