"""The columns that a table must have to be drawn from; it may have more."""

_TRAINING = "env algorithm agent iteration pairs mean_return mean_length num_episodes"

# By the names of `dpg.report.tables.Tables`.
COLUMNS = {
    "history": _TRAINING,
    "ablation": _TRAINING,
    "regimes": f"timesteps lr {_TRAINING}",
    "evaluation": "env algorithm agent iteration actions episodes pairs mean_return low high",
    "similarity": "env algorithm agent iteration against pairs trajectories repeats cosine low high corrected_cosine "
    "share_nonpositive random_floor",
    "noise": "env algorithm agent iteration true_pairs reliability",
    "agreement": "env algorithm iteration against pairs agents cosine low high",
    "updates": "env algorithm agent iteration updates unmoved pairs trajectories cosine kl",
    "value": "env algorithm agent iteration split target pairs trajectories mean_relative_error trimmed_relative_error "
    "median_relative_error near_zero_share",
    "landscape": "env algorithm agent iteration update_pairs step random step_norm random_norm surrogate reward "
    "reward_se trajectories pairs common_random_numbers",
}
