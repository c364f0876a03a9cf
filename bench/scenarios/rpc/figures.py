"""The figures and warnings of an rpc trial, from what its consumers reported. Pure."""

from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning


def compute_figures(result: TrialResult, is_paced: bool) -> Figures:
    """Return what a trial measured; `is_paced` says whether calls came at a rate, some of them outliers."""
    done = result.done[0]
    calls, small = int(done["done"]), dict(done["small_us"])
    failed = TrialWarning(
        "failed", f"{done['failed']:,} calls failed", "see the ports and TIME_WAIT of the clients", voids=True
    )
    return Figures(
        units=calls,
        figures={
            "calls_per_s": None if is_paced else calls / result.window_s,
            "provider_us": None if is_paced or not calls else result.spent_s("backend") / calls * 1e6,
            "failed": done["failed"],
            "held": result.held,
        },
        times_us={"small": small, "outlier": dict(done["outlier_us"])} if is_paced else {"call": small},
        warnings=[failed] if done["failed"] else [],
    )
